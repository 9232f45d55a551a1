package base_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/base"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestRegulator(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return base.NewRegulator(inmemory.New(), 25) })
}

// TestRegulatorOfOne shows that nobody holds a place while it asks for another.
func TestRegulatorOfOne(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver {
		return base.NewRegulator(drivertest.Fallback(inmemory.New()), 1)
	})
}

// crowd notes how many calls run at once.
type crowd struct {
	drivers.StorageDriver
	now, most atomic.Int64
}

func (c *crowd) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	defer c.now.Add(-1)
	for n := c.now.Add(1); ; {
		most := c.most.Load()
		if n <= most || c.most.CompareAndSwap(most, n) {
			break
		}
	}
	time.Sleep(time.Millisecond)
	return c.StorageDriver.Stat(ctx, path)
}

func TestRegulatorLimits(t *testing.T) {
	c := &crowd{StorageDriver: inmemory.New()}
	d := base.NewRegulator(c, 3)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() { _, _ = d.Stat(t.Context(), "/") })
	}
	callers.Wait()
	if most := c.most.Load(); most != 3 {
		t.Errorf("%d calls ran at once, want 3", most)
	}
}

// stuck does not return before it is told to.
type stuck struct {
	drivers.StorageDriver
	entered, leave chan struct{}
}

func (s stuck) Delete(context.Context, string) error {
	s.entered <- struct{}{}
	<-s.leave
	return nil
}

func TestRegulatorWatchesContext(t *testing.T) {
	s := stuck{StorageDriver: inmemory.New(), entered: make(chan struct{}), leave: make(chan struct{})}
	d := base.NewRegulator(s, 1)
	done := make(chan error)
	go func() { done <- d.Delete(t.Context(), "/a") }()
	<-s.entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := d.Stat(ctx, "/"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that waits too long = %v, want context.DeadlineExceeded", err)
	}
	close(s.leave)
	if err := <-done; err != nil {
		t.Errorf("Delete = %v", err)
	}
	if _, err := d.Stat(t.Context(), "/"); err != nil {
		t.Errorf("a call after it = %v", err)
	}
}

func TestGetLimitFromParameter(t *testing.T) {
	const min, def = 25, 100
	for _, test := range []struct {
		param any
		want  uint64 // 0 is an error
	}{
		{nil, def},
		{"50", 50},
		{"0x40", 64},
		{"24", min},
		{"0", min},
		{"-5", min},
		{50, 50},
		{int8(50), 50},
		{int32(-1), min},
		{int64(1 << 40), 1 << 40},
		{uint(30), 30},
		{uint32(3), min},
		{uint64(1 << 63), 1 << 63},
		{"", 0},
		{"fifty", 0},
		{"50.0", 0},
		{"99999999999999999999", 0},
		{50.0, 0},
		{true, 0},
		{[]int{50}, 0},
	} {
		t.Run(fmt.Sprintf("%T %v", test.param, test.param), func(t *testing.T) {
			got, err := base.GetLimitFromParameter(test.param, min, def)
			if got != test.want || (err != nil) != (test.want == 0) {
				t.Errorf("GetLimitFromParameter(%#v) = %d, %v, want %d", test.param, got, err, test.want)
			}
		})
	}
}
