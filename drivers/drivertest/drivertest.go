package drivertest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"registryfs/drivers"
)

// Run tests the drivers that make returns: one for each subtest, empty.
func Run(t *testing.T, make func(t *testing.T) drivers.StorageDriver) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, d drivers.StorageDriver)
	}{
		{"root exists", testRoot},
		{"valid paths", testValidPaths},
		{"invalid paths", testInvalidPaths},
		{"cancelled context", testCancelledContext},

		{"content round trip", testContent},
		{"content replaced", testContentReplaced},
		{"content belongs to the caller", testContentCopied},
		{"content missing", testContentMissing},
		{"content with info", testContentInfo},
		{"content if absent", testContentIfAbsent},
		{"contents", testContents},

		{"reader offsets", testReader},
		{"reader missing", testReaderMissing},
		{"reader range", testReadRange},
		{"reader keeps what it opened", testReaderSnapshot},

		{"writer round trip", testWriter},
		{"writer invisible before commit", testWriterInvisible},
		{"writer replaces", testWriterReplaces},
		{"writer cancel", testWriterCancel},
		{"writer states", testWriterStates},
		{"writer resumes small", testWriterResumesSmall},
		{"writer resumes large", testWriterResumesLarge},
		{"writer resumes twice", testWriterForgets},
		{"writer appends to empty", testWriterAppendsToEmpty},
		{"writer large", testWriterLarge},
		{"writers of one path", testWritersOfOnePath},

		{"list", testList},
		{"list missing", testListMissing},
		{"list many", testListMany},
		{"stat", testStat},
		{"move", testMove},
		{"move directory", testMoveDirectory},
		{"move missing", testMoveMissing},
		{"delete", testDelete},
		{"delete spares siblings", testDeleteSiblings},
		{"copy from", testCopyFrom},
		{"times", testChtimes},
		{"open file", testOpenFile},
		{"space", testStatFS},

		{"walk order", testWalkOrder},
		{"walk skip", testWalkSkip},
		{"walk stop", testWalkStop},
		{"walk error", testWalkError},
		{"walk hint", testWalkHint},
		{"walk missing", testWalkMissing},
		{"walk info", testWalkInfo},

		{"concurrent content", testConcurrentContent},
		{"concurrent reads", testConcurrentReads},
		{"concurrent streams", testConcurrentStreams},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, make(t)) })
	}
}

func notFound(d drivers.StorageDriver, path string) error {
	return drivers.PathNotFoundError{Path: path, DriverName: d.Name()}
}

// wantError compares errors as the callers of drivers may: by value.
func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if got != want {
		t.Errorf("%s: error = %#v, want %#v", what, got, want)
	}
}

func put(t *testing.T, d drivers.StorageDriver, path string, content []byte) {
	t.Helper()
	if err := d.PutContent(t.Context(), path, content); err != nil {
		t.Fatalf("PutContent(%q) = %v", path, err)
	}
}

// putAll puts files whose content is their path.
func putAll(t *testing.T, d drivers.StorageDriver, paths ...string) {
	t.Helper()
	for _, path := range paths {
		put(t, d, path, []byte(path))
	}
}

// wantContent reads path by every means there is.
func wantContent(t *testing.T, d drivers.StorageDriver, path string, want []byte) {
	t.Helper()
	got, err := d.GetContent(t.Context(), path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("GetContent(%q) = %s, %v, want %s", path, sketch(got), err, sketch(want))
	}
	got, err = readFrom(t, d, path, 0)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Reader(%q, 0) gave %s, %v, want %s", path, sketch(got), err, sketch(want))
	}
}

func wantAbsent(t *testing.T, d drivers.StorageDriver, path string) {
	t.Helper()
	info, err := d.Stat(t.Context(), path)
	if info != nil {
		t.Errorf("Stat(%q) = %v with error %v, want nil", path, info, err)
	}
	wantError(t, "Stat "+path, err, notFound(d, path))
	_, err = d.GetContent(t.Context(), path)
	wantError(t, "GetContent "+path, err, notFound(d, path))
}

func readFrom(t *testing.T, d drivers.StorageDriver, path string, offset int64) ([]byte, error) {
	t.Helper()
	r, err := d.Reader(t.Context(), path, offset)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	if closeErr := r.Close(); closeErr != nil {
		t.Errorf("Reader(%q, %d): Close = %v", path, offset, closeErr)
	}
	return got, err
}

// listed returns the children of dir, sorted, after making sure that both ways
// to list agree.
func listed(t *testing.T, d drivers.StorageDriver, dir string) []string {
	t.Helper()
	paths, err := d.List(t.Context(), dir)
	if err != nil {
		t.Fatalf("List(%q) = %v", dir, err)
	}
	slices.Sort(paths)
	var infos []string
	for info, err := range drivers.ListInfo(t.Context(), d, dir) {
		if err != nil {
			t.Fatalf("ListInfo(%q) = %v", dir, err)
		}
		infos = append(infos, info.Path())
	}
	slices.Sort(infos)
	if !slices.Equal(paths, infos) {
		t.Errorf("List(%q) = %q, but ListInfo gives %q", dir, paths, infos)
	}
	return paths
}

func wantListed(t *testing.T, d drivers.StorageDriver, dir string, want ...string) {
	t.Helper()
	if got := listed(t, d, dir); !slices.Equal(got, want) {
		t.Errorf("List(%q) = %q, want %q", dir, got, want)
	}
}

// random returns n bytes, the same in every run.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return b
}

// sketch keeps megabytes out of messages.
func sketch(b []byte) string {
	const most = 60
	if len(b) <= most {
		return string(append(append([]byte{'"'}, b...), '"'))
	}
	return string(b[:most]) + "..."
}
