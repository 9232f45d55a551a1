package fusefs

import (
	"errors"
	"fmt"
	"iter"
	"syscall"
	"testing"
)

// TestPuller takes listings in pieces of four, and gives them up at each of these.
func TestPuller(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name string
		end  func() error
		want error
	}{
		{"end", func() error { return nil }, nil},
		{"error", func() error { return broken }, broken},
		{"panic", func() error { panic("at the end") }, syscall.EIO},
	} {
		for _, n := range []int{0, 1, 4, 5, 11} {
			for pieces := range 5 {
				t.Run(fmt.Sprintf("%s of %d after %d", test.name, n, pieces), func(t *testing.T) {
					stopped := pieces == 0 // it never began
					p := pull(countTo(n, test.end, &stopped), func(any) error { return syscall.EIO })
					var got []entry
					var some pulled
					for range pieces {
						if some.ended {
							break
						}
						some = p.next(4)
						got = append(got, some.entries...)
					}
					p.stop()
					if !stopped {
						t.Error("the listing goes on after stop")
					}
					if want := min(4*pieces, n); len(got) != want {
						t.Errorf("%d entries, want %d", len(got), want)
					}
					for i, e := range got {
						if e.name != fmt.Sprint(i) {
							t.Errorf("entry %d is %s", i, e.name)
						}
					}
					if ends := 4*pieces > n; some.ended != ends || ends && some.err != test.want || !ends && some.err != nil {
						t.Errorf("ended: %v, %v, want %v, %v", some.ended, some.err, ends, test.want)
					}
				})
			}
		}
	}
}

// countTo is a listing of n entries that ends with what end returns.
func countTo(n int, end func() error, stopped *bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		defer func() { *stopped = true }()
		for i := range n {
			if !yield(entry{name: fmt.Sprint(i)}, nil) {
				return
			}
		}
		if err := end(); err != nil {
			yield(entry{}, err)
		}
	}
}
