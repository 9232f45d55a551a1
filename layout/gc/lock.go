package gc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"registryfs/layout"
)

const (
	stateDir = "gc"
	lockName = "lock.json"
	lockFile = stateDir + "/" + lockName

	// lockLife is how long a lock holds that nobody renews: its owner has died. The
	// clocks of machines that collect one store may differ by less.
	lockLife  = 15 * time.Minute
	lockRenew = lockLife / 5
)

// LockedError says that another run is at work, or was when it died.
type LockedError struct {
	Owner   string
	Expires time.Time
}

func (e LockedError) Error() string {
	return fmt.Sprintf("another gc of the store is running, %s: wait for it to end or, if it has been killed, until %s",
		e.Owner, e.Expires.Local().Format(time.DateTime))
}

var errLockLost = errors.New("another gc has taken the lock: start this one again when that has ended")

// lockState keeps a second run from the store.
type lockState struct {
	ID      string    `json:"id"`
	Owner   string    `json:"owner"`
	Expires time.Time `json:"expires"`

	state layout.State
	made  time.Time // by the clock of the store
}

// lock takes the lock. It is LockedError if another run has it.
func lock(ctx context.Context, s layout.State) (*lockState, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown machine"
	}
	l := &lockState{ID: rand.Text(), Owner: fmt.Sprintf("process %d on %s", os.Getpid(), host), state: s}
	for range 3 {
		err = s.Create(ctx, lockFile, l.content())
		if err == nil {
			l.made, err = l.storeTime(ctx)
			return l, err
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("gc has to write to the store, and a dry run only reads: %w", err)
		}
		other, readErr := readLock(ctx, s)
		if errors.Is(readErr, fs.ErrNotExist) {
			continue // released meanwhile
		}
		if readErr != nil {
			return nil, readErr
		}
		if time.Now().Before(other.Expires) {
			return nil, LockedError{other.Owner, other.Expires}
		}
		if err := s.Delete(ctx, lockFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, err
}

func (l *lockState) content() []byte {
	l.Expires = time.Now().Add(lockLife).UTC().Truncate(time.Second)
	content, err := json.Marshal(l)
	if err != nil {
		panic(err) // there is nothing in it that could
	}
	return content
}

func readLock(ctx context.Context, s layout.State) (lockState, error) {
	var l lockState
	content, err := s.Get(ctx, lockFile)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(content, &l); err != nil {
		return l, fmt.Errorf("the lock registryfs/%s cannot be read: %w: remove it if no gc is running", lockFile, err)
	}
	return l, nil
}

// storeTime is when the lock was written, by the clock that files are dated by.
func (l *lockState) storeTime(ctx context.Context) (time.Time, error) {
	for e, err := range l.state.All(ctx, stateDir) {
		if err != nil {
			return time.Time{}, errors.Join(err, l.release(ctx))
		}
		if e.Name == lockName && !e.ModTime.IsZero() {
			return e.ModTime, nil
		}
	}
	return time.Now(), nil
}

// hold renews the lock until stop is called. The context ends if it is lost.
func (l *lockState) hold(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(lockRenew)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if err := l.renew(ctx); err != nil {
				cancel(err)
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

// check is errLockLost if another run has the lock. Two that find it run out at once
// may both take it, and the first one has it no longer.
func (l *lockState) check(ctx context.Context) error {
	other, err := readLock(ctx, l.state)
	if errors.Is(err, fs.ErrNotExist) || err == nil && other.ID != l.ID {
		return errLockLost
	}
	return err
}

// renew prolongs the lock. A store that does not answer is asked again the next
// time, as long as nobody else can have taken it.
func (l *lockState) renew(ctx context.Context) error {
	err := l.check(ctx)
	if errors.Is(err, errLockLost) {
		return err
	}
	expires := l.Expires
	if err == nil {
		err = l.state.Put(ctx, lockFile, l.content())
	}
	if err == nil {
		return nil
	}
	l.Expires = expires
	if time.Until(expires) < 2*lockRenew {
		return errLockLost
	}
	return nil
}

// release gives the lock back, if it is still held.
func (l *lockState) release(ctx context.Context) error {
	other, err := readLock(ctx, l.state)
	if errors.Is(err, fs.ErrNotExist) || err == nil && other.ID != l.ID {
		return nil
	}
	if err != nil {
		return err
	}
	return l.state.Delete(ctx, lockFile)
}
