package filesystem

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"registryfs/drivers"
)

// registryTemp is what a registry appends to the name of a file it writes.
const registryTemp = ".0190a5d3-5c2e-7b6a-9f00-0123456789ab.tmp"

func TestIsHidden(t *testing.T) {
	for name, want := range map[string]bool{
		tempName():                          true,
		partialName("data"):                 true,
		"link" + registryTemp:               true,
		"data" + registryTemp:               true,
		"startedat" + registryTemp:          true,
		"a.b" + registryTemp:                true,
		registryTemp:                        false, // nothing before the dot
		registryTemp[1:]:                    false,
		"link" + registryTemp + "x":         false,
		"link" + registryTemp[:10]:          false,
		"link.tmp":                          false,
		".tmp":                              false,
		"data":                              false,
		".data":                             false,
		"data.registryfs-partial":           false,
		".registryfs-config":                false,
		"link-" + registryTemp[1:]:          false,
		strings.ToUpper("x" + registryTemp): false,
	} {
		if got := isHidden(name); got != want {
			t.Errorf("isHidden(%q) = %v, want %v", name, got, want)
		}
	}
	long := strings.Repeat("n", maxName)
	for _, name := range []string{"n", long[:maxName-len(partialSuffix)-1], long[1:], long} {
		if got := partialName(name); len(got) > maxName || !isHidden(got) {
			t.Errorf("partialName of %d bytes = %q", len(name), got)
		}
	}
	if partialName(long) == partialName("m"+long[1:]) {
		t.Error("two long names have one partial name")
	}
}

func TestLeftoversAreHidden(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	if err := d.PutContent(t.Context(), "/dir/link", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{tempName(), partialName("link"), "link" + registryTemp, "data" + registryTemp} {
		if err := os.WriteFile(root+"/dir/"+name, []byte("left over"), 0o666); err != nil {
			t.Fatal(err)
		}
		path := "/dir/" + name
		notFound := drivers.PathNotFoundError{Path: path, DriverName: "filesystem"}
		_, getErr := d.GetContent(t.Context(), path)
		_, readErr := d.Reader(t.Context(), path, 0)
		_, openErr := drivers.OpenFile(t.Context(), d, path)
		_, statErr := d.Stat(t.Context(), path)
		for how, err := range map[string]error{
			"GetContent": getErr, "Reader": readErr, "OpenFile": openErr, "Stat": statErr,
			"Delete":  d.Delete(t.Context(), path),
			"Move":    d.Move(t.Context(), path, "/x"),
			"Chtimes": drivers.Chtimes(t.Context(), d, path, time.Now()),
		} {
			if err != error(notFound) {
				t.Errorf("%s(%q) = %v, want %v", how, path, err, notFound)
			}
		}
		reserved := drivers.InvalidPathError{Path: path, DriverName: "filesystem"}
		_, writerErr := d.Writer(t.Context(), path, true)
		for how, err := range map[string]error{
			"Writer":             writerErr,
			"PutContent":         d.PutContent(t.Context(), path, nil),
			"PutContents":        drivers.PutContents(t.Context(), d, []drivers.Content{{Path: "/ok"}, {Path: path}}),
			"PutContentIfAbsent": drivers.PutContentIfAbsent(t.Context(), d, path, nil),
			"Move":               d.Move(t.Context(), "/dir/link", path),
		} {
			if err != error(reserved) {
				t.Errorf("%s(%q) = %v, want %v", how, path, err, reserved)
			}
		}
	}
	wantWalk(t, d, "/dir", "/dir/link")
	if err := d.Delete(t.Context(), "/dir"); err != nil {
		t.Errorf("Delete of a directory with leftovers = %v", err)
	}
	wantOnDisk(t, root)
}

// TestDirectoryNamedLikeTemp: a tag or repository may be called so.
func TestDirectoryNamedLikeTemp(t *testing.T) {
	d := New(Parameters{RootDirectory: t.TempDir()})
	dir := "/tags/v1" + registryTemp
	if err := d.PutContent(t.Context(), dir+"/current/link", nil); err != nil {
		t.Fatal(err)
	}
	wantWalk(t, d, "/", "/tags", dir, dir+"/current", dir+"/current/link")
	if _, err := d.Stat(t.Context(), dir); err != nil {
		t.Errorf("Stat = %v", err)
	}
	if err := d.Delete(t.Context(), dir); err != nil {
		t.Errorf("Delete = %v", err)
	}
	wantWalk(t, d, "/", "/tags")
}

func wantWalk(t *testing.T, d drivers.StorageDriver, from string, want ...string) {
	t.Helper()
	var got []string
	err := d.Walk(t.Context(), from, func(info drivers.FileInfo) error {
		got = append(got, info.Path())
		return nil
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Walk(%q) met %q, %v, want %q", from, got, err, want)
	}
}

func TestSymlinks(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	d := New(Parameters{RootDirectory: root})
	if err := d.PutContent(t.Context(), "/dir/file", []byte("content")); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"/linked":   other,
		"/file":     root + "/dir/file",
		"/dangling": root + "/nowhere",
		"/self":     "self",
		"/dir/up":   "..",
		"/dir/here": root + "/dir",
	} {
		if err := os.Symlink(target, root+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.PutContent(t.Context(), "/linked/repo/link", []byte("there")); err != nil {
		t.Fatalf("PutContent below a symbolic link = %v", err)
	}
	wantOnDisk(t, other, "/repo/link")
	wantWalk(t, d, "/", "/dir", "/dir/file", "/file", "/linked", "/linked/repo", "/linked/repo/link")
	for info, err := range drivers.ListInfo(t.Context(), d, "/") {
		if err != nil {
			t.Fatal(err)
		}
		switch info.Path() {
		case "/file":
			if info.IsDir() || info.Size() != int64(len("content")) {
				t.Errorf("a link to a file has dir %v, size %d", info.IsDir(), info.Size())
			}
		case "/linked":
			if !info.IsDir() || info.Size() != 0 {
				t.Errorf("a link to a directory has dir %v, size %d", info.IsDir(), info.Size())
			}
		}
	}
	if info, err := d.Stat(t.Context(), "/linked/repo"); err != nil || !info.IsDir() {
		t.Errorf("Stat below a symbolic link = %v, %v", info, err)
	}
	if _, err := d.Stat(t.Context(), "/dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of a dangling link = %v, want fs.ErrNotExist", err)
	}
	if err := d.Delete(t.Context(), "/linked"); err != nil {
		t.Errorf("Delete of a symbolic link = %v", err)
	}
	wantOnDisk(t, other, "/repo/link")
	if err := d.PutContent(t.Context(), "/file", []byte("new")); err != nil {
		t.Errorf("PutContent over a symbolic link = %v", err)
	}
	if got, err := d.GetContent(t.Context(), "/dir/file"); err != nil || string(got) != "content" {
		t.Errorf("what the link pointed to is now %q, %v", got, err)
	}
}

// TestSpecialFiles: none of them may show, or stop a call.
func TestSpecialFiles(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	if err := syscall.Mkfifo(root+"/pipe", 0o666); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", root+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	wantWalk(t, d, "/")
	for _, path := range []string{"/pipe", "/socket"} {
		want := drivers.PathNotFoundError{Path: path, DriverName: "filesystem"}
		_, statErr := d.Stat(t.Context(), path)
		_, getErr := d.GetContent(t.Context(), path)
		_, readErr := d.Reader(t.Context(), path, 0)
		_, listErr := d.List(t.Context(), path)
		for how, err := range map[string]error{"Stat": statErr, "GetContent": getErr, "Reader": readErr, "List": listErr} {
			if err != error(want) {
				t.Errorf("%s(%q) = %v, want %v", how, path, err, want)
			}
		}
	}
}

// TestVanishedChild asks for what has gone since it was listed.
func TestVanishedChild(t *testing.T) {
	d := New(Parameters{RootDirectory: t.TempDir()})
	if err := d.PutContent(t.Context(), "/file", []byte("content")); err != nil {
		t.Fatal(err)
	}
	for info, err := range drivers.ListInfo(t.Context(), d, "/") {
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Delete(t.Context(), "/file"); err != nil {
			t.Fatal(err)
		}
		if info.Size() != 0 || !info.ModTime().IsZero() {
			t.Errorf("a vanished child has size %d and time %v", info.Size(), info.ModTime())
		}
	}
}

// TestOddNames: what no call can name is left out, and its neighbours are not.
func TestOddNames(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	if err := os.Mkdir(root+"/bad dir", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"good", "bad name", "a:b", "lost+found", "\xff", "bad dir/good"} {
		if err := os.WriteFile(root+"/"+name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	wantWalk(t, d, "/", "/good")
	if paths, err := d.List(t.Context(), "/"); err != nil || !slices.Equal(paths, []string{"/good"}) {
		t.Errorf("List = %q, %v, want the good name", paths, err)
	}
	for info, err := range drivers.WalkInfo(t.Context(), d, "/", "") {
		if err != nil || info.Path() != "/good" {
			t.Errorf("WalkInfo yields %v, %v, want the good name", info, err)
		}
	}
}
