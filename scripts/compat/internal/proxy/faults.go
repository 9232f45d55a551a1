package proxy

import (
	"math/rand/v2"
	"sync/atomic"
)

// fates draws what happens to requests.
type fates struct{ drawn atomic.Uint64 }

// fate is what happens to one request.
type fate struct {
	fail, cut, stall bool
	early            bool    // stall before the answer's head
	part             float64 // of the body, passed on before it is cut or stalls
}

// draw returns the fate of the next request.
func (f *fates) draw(o Options) fate {
	if o.Fail == 0 && o.Cut == 0 && o.Stall == 0 {
		f.drawn.Add(1)
		return fate{}
	}
	r := rand.New(rand.NewPCG(o.Seed, f.drawn.Add(1)))
	// Each of them is drawn, so that one option does not move the others.
	return fate{
		fail:  oneIn(r, o.Fail),
		cut:   oneIn(r, o.Cut),
		stall: oneIn(r, o.Stall),
		early: r.IntN(2) == 0,
		part:  r.Float64(),
	}
}

func oneIn(r *rand.Rand, n int) bool {
	x := r.Float64()
	return n > 0 && x < 1/float64(n)
}
