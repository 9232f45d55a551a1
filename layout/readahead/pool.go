package readahead

import (
	"container/list"
	"context"
	"sync"
	"time"

	"registryfs/drivers"
)

// Pool is the memory and the order in which the open files of one store use it.
type Pool struct {
	driver drivers.StorageDriver
	budget *drivers.Budget
	stall  time.Duration
	unhook func()
	delay  delay

	mu    sync.Mutex // guards the following, and File.last
	order list.List  // of *File with windows, the last read first
	early earlyFiles
}

// lastRead is a File's place in Pool.order.
type lastRead struct {
	at      time.Time
	element *list.Element
}

const (
	// idleAfter is how long a file is not read before what it holds is given to
	// who waits for memory.
	idleAfter = 20 * time.Millisecond

	// activeFor is how long after a read a file has a share of the memory.
	activeFor = time.Second
)

// NewPool makes a Pool of what d stores, to be held in budget.
func NewPool(d drivers.StorageDriver, budget *drivers.Budget) *Pool {
	p := &Pool{driver: d, budget: budget, stall: stallTimeout}
	p.unhook = budget.OnPressure(p.relieve)
	return p
}

// Close ends what was prefetched and is not open.
func (p *Pool) Close() error {
	p.unhook()
	p.mu.Lock()
	dropped := p.early.takeAll()
	p.mu.Unlock()
	for _, f := range dropped {
		f.Close()
	}
	return nil
}

// Open opens a file of known size. It asks the store for nothing: that the file
// is not there is an error of the first read.
func (p *Pool) Open(path string, size int64) *File {
	p.mu.Lock()
	f := p.early.take(path)
	p.mu.Unlock()
	if f != nil && f.src.size == size {
		return f
	}
	if f != nil {
		f.Close()
	}
	return p.open(path, size)
}

func (p *Pool) open(path string, size int64) *File {
	ctx, stop := context.WithCancel(context.Background())
	return &File{
		pool: p,
		src:  &source{driver: p.driver, path: path, size: size, stall: p.stall, delay: &p.delay},
		ctx:  ctx,
		stop: stop,
	}
}

// used puts f at the front of the order.
func (p *Pool) used(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.last.at = time.Now()
	if f.last.element == nil {
		f.last.element = p.order.PushFront(f)
		return
	}
	p.order.MoveToFront(f.last.element)
}

func (p *Pool) remove(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.last.element != nil {
		p.order.Remove(f.last.element)
		f.last.element = nil
	}
}

// share is how far f may read ahead: as far as the others that are being read.
func (p *Pool) share(f *File) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	const most = 64
	now := time.Now()
	active := int64(0)
	for e := p.order.Front(); e != nil && active < most; e = e.Next() {
		if now.Sub(e.Value.(*File).last.at) > activeFor {
			break
		}
		active++
	}
	return p.budget.Size() * 3 / 4 / max(1, active)
}

// relieve gives back what nobody is reading: first what was prefetched, the
// oldest first, then what open files hold, the longest idle first.
func (p *Pool) relieve(n int64) {
	for n > 0 {
		p.mu.Lock()
		f := p.early.takeOldest()
		p.mu.Unlock()
		if f == nil {
			break
		}
		n -= f.shrink(n)
		f.Close()
	}
	if n <= 0 {
		return
	}
	for _, f := range p.idle() {
		if n -= f.shrink(n); n <= 0 {
			return
		}
	}
}

// idle are the files that nobody reads at the moment, the longest idle first.
// What they hold may be gone by now.
func (p *Pool) idle() []*File {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var files []*File
	for e := p.order.Back(); e != nil; e = e.Prev() {
		f := e.Value.(*File)
		if now.Sub(f.last.at) < idleAfter {
			break
		}
		files = append(files, f)
	}
	return files
}
