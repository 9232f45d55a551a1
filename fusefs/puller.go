package fusefs

import "iter"

// puller takes from a listing as many entries at a time as are asked for. iter.Pull2
// would do that too, by a switch for each entry; and of its coroutines the race
// detector keeps something for ever.
type puller struct {
	want chan int
	got  chan pulled
}

// pulled is some of the entries. The last of them come with ended.
type pulled struct {
	entries []entry
	ended   bool
	err     error // why it has ended, or nil
}

// pull begins. A panic of the listing is its end, with the error that failed makes
// of it.
func pull(list iter.Seq2[entry, error], failed func(v any) error) *puller {
	p := &puller{make(chan int), make(chan pulled)}
	go p.run(list, failed)
	return p
}

// next returns n entries, or fewer with the end. After that it must not be called.
func (p *puller) next(n int) pulled {
	p.want <- n
	return <-p.got
}

// stop ends the listing, if that has not ended, and waits for it.
func (p *puller) stop() {
	close(p.want)
	for range p.got {
	}
}

func (p *puller) run(list iter.Seq2[entry, error], failed func(v any) error) {
	defer close(p.got)
	n, ok := <-p.want
	if !ok {
		return
	}
	var out pulled
	func() {
		defer func() {
			if v := recover(); v != nil {
				out.err = failed(v)
			}
		}()
		for e, err := range list {
			if err != nil {
				out.err = err
				return
			}
			out.entries = append(out.entries, e)
			if len(out.entries) < n {
				continue
			}
			p.got <- out
			out = pulled{}
			if n, ok = <-p.want; !ok {
				return
			}
		}
	}()
	if ok {
		out.ended = true
		p.got <- out
	}
}
