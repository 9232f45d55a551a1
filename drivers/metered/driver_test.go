package metered_test

import (
	"errors"
	"io"
	"reflect"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
	"registryfs/drivers/metered"
)

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return metered.New(inmemory.New()) })
}

func TestFallback(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return metered.New(drivertest.Fallback(inmemory.New())) })
}

// An ability that is not forwarded is lost without a word. Counting has all.
func TestForwardsAll(t *testing.T) {
	ours, all := reflect.TypeFor[*metered.Driver](), reflect.TypeFor[*drivertest.Counting]()
	for i := range all.NumMethod() {
		name := all.Method(i).Name
		if name == "Count" || name == "Counts" || name == "Reset" {
			continue
		}
		if _, ok := ours.MethodByName(name); !ok {
			t.Errorf("%s is not forwarded", name)
		}
	}
}

func TestStats(t *testing.T) {
	faulty := drivertest.NewFaulty(inmemory.New())
	d := metered.New(faulty)
	ctx := t.Context()
	content := []byte("content")
	for _, err := range []error{
		d.PutContent(ctx, "/a", content),
		drivers.PutContents(ctx, d, []drivers.Content{{Path: "/b", Bytes: content}, {Path: "/c", Bytes: content}}),
		drivers.PutContentIfAbsent(ctx, d, "/d", content),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w, err := d.Writer(ctx, "/e", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Commit(ctx), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.GetContent(ctx, "/a"); err != nil {
		t.Fatal(err)
	}
	r, err := drivers.ReadRange(ctx, d, "/a", 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for range drivers.ListInfo(ctx, d, "/") {
		break
	}
	for range drivers.WalkInfo(ctx, d, "/", "/zzz") {
	}
	_, _ = d.Stat(ctx, "/missing")                           // an answer
	_ = drivers.PutContentIfAbsent(ctx, d, "/d", content)    // an answer
	_ = drivers.Chtimes(ctx, d, "/missing/too", time.Time{}) // an answer
	faulty.FailAt(1, errors.New("broken"))
	_, _ = d.GetContent(ctx, "/a")

	want := map[string][2]int64{ // calls and errors
		"PutContent": {1, 0}, "PutContents": {1, 0}, "PutContentIfAbsent": {2, 0}, "Writer": {1, 0}, "Commit": {1, 0},
		"GetContent": {2, 1}, "ReadRange": {1, 0}, "ListInfo": {1, 0}, "WalkInfo": {1, 0}, "Stat": {1, 0}, "Chtimes": {1, 0},
	}
	stats := d.Stats()
	for _, m := range stats.Methods {
		if got := [2]int64{m.Calls.Count, m.Errors}; got != want[m.Name] {
			t.Errorf("%s: %d calls and %d errors, want %v", m.Name, got[0], got[1], want[m.Name])
		}
		if m.Calls.Count > 0 && m.Calls.Sum <= 0 {
			t.Errorf("%s took %v", m.Name, m.Calls.Sum)
		}
	}
	if stats.ReadBytes != 7+3 || stats.WrittenBytes != 5*7 {
		t.Errorf("%d bytes read and %d written, want 10 and 35", stats.ReadBytes, stats.WrittenBytes)
	}
}
