package drivers_test

import (
	"context"
	"iter"
	"slices"
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// lister notes which directories a walk lists.
type lister struct {
	drivers.StorageDriver
	dirs []string
}

func (l *lister) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	l.dirs = append(l.dirs, dir)
	return drivers.ListInfo(ctx, l.StorageDriver, dir)
}

// TestWalkListsNoMore counts what a page of a long walk costs.
func TestWalkListsNoMore(t *testing.T) {
	l := &lister{StorageDriver: inmemory.New()}
	for _, path := range []string{"/w/a/1/x", "/w/a/2/x", "/w/a/3/x", "/w/b/1/x", "/w/c/x"} {
		if err := l.PutContent(t.Context(), path, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		hint string
		stop string
		want []string
	}{
		{"", "", []string{"/w", "/w/a", "/w/a/1", "/w/a/2", "/w/a/3", "/w/b", "/w/b/1", "/w/c"}},
		{"/w/a/2", "", []string{"/w", "/w/a", "/w/a/2", "/w/a/3", "/w/b", "/w/b/1", "/w/c"}},
		{"/w/a/2/x", "/w/b", []string{"/w", "/w/a", "/w/a/2", "/w/a/3"}},
		{"/w/a/zzz", "/w/b/1", []string{"/w", "/w/a", "/w/b"}},
		{"/w/c/zzz", "", []string{"/w", "/w/c"}},
		{"/zzz", "", []string{"/w"}},
	} {
		l.dirs = nil
		err := drivers.Walk(t.Context(), l, "/w", func(info drivers.FileInfo) error {
			if info.Path() == test.stop {
				return drivers.ErrFilledBuffer
			}
			return nil
		}, drivers.WithStartAfterHint(test.hint))
		if err != nil || !slices.Equal(l.dirs, test.want) {
			t.Errorf("Walk after %q until %q listed %q, %v, want %q", test.hint, test.stop, l.dirs, err, test.want)
		}
	}
}

// TestListInfoOddChildren lists what the driver inside cannot describe.
func TestListInfoOddChildren(t *testing.T) {
	d := oddChildren{drivertest.Fallback(inmemory.New())}
	if err := d.PutContent(t.Context(), "/file", nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for info, err := range drivers.ListInfo(t.Context(), d, "/") {
		if err != nil {
			t.Fatalf("ListInfo = %v", err)
		}
		got = append(got, info.Path())
	}
	if want := []string{"/file"}; !slices.Equal(got, want) {
		t.Errorf("ListInfo = %q, want %q", got, want)
	}
}

type oddChildren struct{ drivers.StorageDriver }

func (d oddChildren) List(ctx context.Context, dir string) ([]string, error) {
	paths, err := d.StorageDriver.List(ctx, dir)
	return append([]string{"/gone", "/bad name", "/marker/"}, paths...), err
}
