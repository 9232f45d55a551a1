package gc

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
)

// TestSorter compares what goes through files with a sorted slice.
func TestSorter(t *testing.T) {
	for _, most := range []int{1 << 20, 2000, 100} {
		dir := t.TempDir()
		s := sorter{dir: dir, most: most}
		var want []string
		var wg sync.WaitGroup
		for i := range 4 {
			lines := make([]string, 200)
			for j := range lines {
				lines[j] = fmt.Sprintf("%03x %d", rand.IntN(300), j%3)
			}
			want = append(want, lines...)
			wg.Go(func() {
				for _, line := range lines {
					if err := s.add(line); err != nil {
						t.Errorf("add %d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
		slices.Sort(want)
		want = slices.Compact(want)
		for range 2 {
			var got []string
			for line, err := range s.all() {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("most %d: %d lines, want %d: %q", most, len(got), len(want), got)
			}
		}
		if spilled := len(s.runs) > 0; spilled != (most < 1<<20) {
			t.Errorf("most %d: %d files", most, len(s.runs))
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("most %d: left in the directory: %v, %v", most, left, err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSorterFails: lines that cannot be read back are an error, never missing.
func TestSorterFails(t *testing.T) {
	for _, close := range []bool{true, false} {
		s := sorter{dir: t.TempDir(), most: 100}
		for i := range 100 {
			if err := s.add(fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if close {
			s.runs[3].file.Close()
		} else if err := s.runs[3].file.Truncate(3); err != nil {
			t.Fatal(err)
		}
		var failed error
		for _, err := range s.all() {
			failed = err
		}
		if failed == nil {
			t.Errorf("reading a file that is closed (%v) or cut off gave no error", close)
		}
		c := newCursor(s.read())
		if _, err := c.of("99999"); err == nil {
			t.Error("a cursor over it gives no error")
		}
	}
}

func TestCursor(t *testing.T) {
	s := sorter{most: 1 << 20}
	for _, line := range []string{"a 1", "a 2", "b", "d 1 2", "ab 3"} {
		if err := s.add(line); err != nil {
			t.Fatal(err)
		}
	}
	c := newCursor(s.read())
	for _, test := range []struct {
		key  string
		want []string
	}{
		{"a", []string{"1", "2"}}, {"aa", nil}, {"b", []string{""}}, {"c", nil}, {"d", []string{"1 2"}}, {"e", nil},
	} {
		if got, err := c.of(test.key); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("of(%q) = %q, %v, want %q", test.key, got, err, test.want)
		}
	}
}
