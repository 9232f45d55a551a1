package drivertest_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestFallback(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return drivertest.Fallback(inmemory.New()) })
}

func TestCountingForwards(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return drivertest.NewCounting(inmemory.New()) })
}

func TestFaultyForwards(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return drivertest.NewFaulty(inmemory.New()) })
}

func TestCounting(t *testing.T) {
	d := drivertest.NewCounting(inmemory.New())
	batch := []drivers.Content{{Path: "/a", Bytes: []byte("a")}, {Path: "/b", Bytes: []byte("b")}}
	if err := drivers.PutContents(t.Context(), d, batch); err != nil {
		t.Fatal(err)
	}
	for range drivers.ListInfo(t.Context(), d, "/") {
		break
	}
	_, _, _ = drivers.GetContentInfo(t.Context(), d, "/a")
	_, _ = d.GetContent(t.Context(), "/missing")
	_, _ = drivers.ReadRange(t.Context(), d, "/a", 0, 1)
	_, _ = drivers.OpenFile(t.Context(), d, "/a")
	want := map[string]int{"PutContent": 2, "List": 1, "GetContent": 2, "Reader": 1, "OpenFile": 1}
	if got := d.Counts(); !maps.Equal(got, want) {
		t.Errorf("Counts = %v, want %v", got, want)
	}
	d.Reset()
	if got := d.Count("GetContent"); got != 0 || len(d.Counts()) != 0 {
		t.Errorf("after Reset Count = %d, Counts = %v, want none", got, d.Counts())
	}
}

var errBroken = errors.New("broken")

// names is what a batch of four has left.
func names(t *testing.T, d drivers.StorageDriver) []string {
	t.Helper()
	paths, err := d.List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

func TestFaulty(t *testing.T) {
	var batch []drivers.Content
	for i := range 4 {
		batch = append(batch, drivers.Content{Path: fmt.Sprintf("/%d", i)})
	}
	for _, test := range []struct {
		name  string
		set   func(f *drivertest.Faulty)
		left  int
		later error // of a call after the failure
	}{
		{"FailAt", func(f *drivertest.Faulty) { f.FailAt(3, errBroken) }, 2, nil},
		{"FailAfter", func(f *drivertest.Faulty) { f.FailAfter(3, errBroken) }, 3, nil},
		{"CrashAt", func(f *drivertest.Faulty) { f.CrashAt(3, errBroken) }, 2, errBroken},
		{"CrashAfter", func(f *drivertest.Faulty) { f.CrashAfter(3, errBroken) }, 3, errBroken},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner := inmemory.New()
			f := drivertest.NewFaulty(inner).OnlyWrites()
			test.set(f)
			if _, err := f.Stat(t.Context(), "/"); err != nil {
				t.Errorf("a read before the failure = %v", err)
			}
			if err := drivers.PutContents(t.Context(), f, batch); !errors.Is(err, errBroken) {
				t.Errorf("PutContents = %v, want %v", err, errBroken)
			}
			if got := f.Calls(); got != 3 {
				t.Errorf("Calls = %d, want 3", got)
			}
			if got := names(t, inner); len(got) != test.left {
				t.Errorf("left %q, want %d files", got, test.left)
			}
			if _, err := f.GetContent(t.Context(), "/0"); !errors.Is(err, test.later) {
				t.Errorf("a later read = %v, want %v", err, test.later)
			}
			if err := f.Delete(t.Context(), "/0"); !errors.Is(err, test.later) {
				t.Errorf("a later write = %v, want %v", err, test.later)
			}
			f.FailAt(0, nil)
			if err := drivers.PutContents(t.Context(), f, batch); err != nil {
				t.Errorf("PutContents without a failure = %v", err)
			}
		})
	}
}

// TestFaultyWriter fails a writer at each of its calls: open, Write, Commit,
// Close.
func TestFaultyWriter(t *testing.T) {
	for at := 1; at <= 5; at++ {
		for _, after := range []bool{false, true} {
			inner := inmemory.New()
			f := drivertest.NewFaulty(inner)
			if f.FailAt(at, errBroken); after {
				f.FailAfter(at, errBroken)
			}
			err := writeFile(t, f)
			if failed := at <= 4; errors.Is(err, errBroken) != failed {
				t.Errorf("failing call %d: error = %v, want one: %v", at, err, failed)
			}
			visible := len(names(t, inner)) == 1
			if want := at > 3 || at == 3 && after; visible != want {
				t.Errorf("failing call %d, after %v: file visible %v, want %v", at, after, visible, want)
			}
		}
	}
}

func writeFile(t *testing.T, d drivers.StorageDriver) error {
	w, err := d.Writer(t.Context(), "/file", false)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte("content")); err != nil {
		return err
	}
	if err := w.Commit(t.Context()); err != nil {
		return err
	}
	return w.Close()
}
