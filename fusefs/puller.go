package fusefs

import "iter"

// puller takes from a listing as many entries at a time as are asked for.
type puller struct {
	want  int // entries of the next piece
	piece func() (pulled, bool)
	stop  func() // ends the listing, if that has not ended, and waits for it
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
	p := &puller{}
	p.piece, p.stop = suspend(p.pieces(list, failed))
	return p
}

// next returns n entries, or fewer with the end. After that it must not be called.
func (p *puller) next(n int) pulled {
	p.want = n
	some, _ := p.piece()
	return some
}

// pieces are the entries by as many as are wanted.
func (p *puller) pieces(list iter.Seq2[entry, error], failed func(v any) error) iter.Seq[pulled] {
	return func(yield func(pulled) bool) {
		var out pulled
		stopped := false
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
				if len(out.entries) < p.want {
					continue
				}
				if stopped = !yield(out); stopped {
					return
				}
				out = pulled{}
			}
		}()
		if !stopped {
			out.ended = true
			yield(out)
		}
	}
}
