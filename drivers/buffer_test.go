package drivers

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

const mib = 1 << 20

// buffer takes n bytes of b and writes to all of them.
func buffer(t *testing.T, b *Budget, n int64) []byte {
	t.Helper()
	if !b.TryAcquire(n) {
		t.Fatalf("no %d bytes in %+v", n, b.Snapshot())
	}
	buf := b.Buffer(n)
	if int64(len(buf)) != n || int64(cap(buf)) != n {
		t.Fatalf("Buffer(%d) has %d bytes and room for %d", n, len(buf), cap(buf))
	}
	for i := range buf {
		buf[i] = 1
	}
	return buf
}

// checkWarm wants so many bytes of memory to wait for another use.
func checkWarm(t *testing.T, b *Budget, want int64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle.warm != want {
		t.Errorf("%d MiB wait for use, want %d", b.idle.warm/mib, want/mib)
	}
}

func TestBufferAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100 * mib)
		for _, n := range []int64{1, 64 << 10, LargeBuffer - 1} {
			b.GiveBack(buffer(t, b, n))
		}
		checkWarm(t, b, 0)
		for _, n := range []int64{LargeBuffer, 5 * mib, 10*mib + 1} {
			first := buffer(t, b, n)
			second := buffer(t, b, n)
			b.GiveBack(second)
			b.GiveBack(first)
			if again := buffer(t, b, n); unsafe.SliceData(again) != unsafe.SliceData(first) {
				t.Errorf("of %d bytes another buffer is used than the last one", n)
			} else {
				b.GiveBack(again)
			}
		}
		checkUsed(t, b, 0)
		checkWarm(t, b, 2*(LargeBuffer+5*mib+10*mib+1))
		time.Sleep(3 * coolAfter)
		checkWarm(t, b, 0)
		b.GiveBack(buffer(t, b, LargeBuffer)) // of what has no memory
		checkWarm(t, b, LargeBuffer)
		time.Sleep(3 * coolAfter)
	})
}

// TestBufferIdle gives back what was not needed of late, and no more.
func TestBufferIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100 * mib)
		var bufs [][]byte
		for range 10 {
			bufs = append(bufs, buffer(t, b, LargeBuffer))
		}
		for _, buf := range bufs {
			b.GiveBack(buf)
		}
		for range 50 { // three are in use all the time
			x, y, z := buffer(t, b, LargeBuffer), buffer(t, b, LargeBuffer), buffer(t, b, LargeBuffer)
			time.Sleep(coolAfter / 10)
			b.GiveBack(x)
			b.GiveBack(y)
			b.GiveBack(z)
		}
		checkWarm(t, b, 3*LargeBuffer)
		time.Sleep(3 * coolAfter)
		checkWarm(t, b, 0)
	})
}

// TestBufferBound: what waits for use makes room for what is taken.
func TestBufferBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(32 * mib)
		bufs := [][]byte{buffer(t, b, 4*mib), buffer(t, b, 4*mib), buffer(t, b, 8*mib)}
		for _, buf := range bufs {
			b.GiveBack(buf)
		}
		checkWarm(t, b, 16*mib)
		if !b.TryAcquire(16 * mib) {
			t.Fatal("no room")
		}
		checkWarm(t, b, 16*mib)
		if !b.Demand(8 * mib) {
			t.Fatal("no room")
		}
		b.mu.Lock()
		if b.used+b.idle.warm > b.size {
			t.Errorf("%d MiB used and %d waiting are more than %d", b.used/mib, b.idle.warm/mib, b.size/mib)
		}
		b.mu.Unlock()
		b.Release(24 * mib)
		time.Sleep(3 * coolAfter)
		checkWarm(t, b, 0)
	})
}
