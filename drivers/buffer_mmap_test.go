//go:build !race

package drivers

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBufferMemory sees the system get the memory back.
func TestBufferMemory(t *testing.T) {
	b := NewBudget(256 * mib)
	before := resident(t)
	buf := buffer(t, b, 128*mib+1)
	if got := resident(t) - before; got < 120*mib {
		t.Errorf("a buffer of 128 MiB takes %d MiB", got/mib)
	}
	b.GiveBack(buf)
	end := time.Now().Add(time.Minute)
	for resident(t)-before > 16*mib {
		if time.Now().After(end) {
			t.Fatalf("%d MiB are still there", (resident(t)-before)/mib)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if buf := buffer(t, b, 128*mib+1); buf[128*mib] != 1 {
		t.Error("it cannot be used again")
	}
}

// resident is the memory of this process.
func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
