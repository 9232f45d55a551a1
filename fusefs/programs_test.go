package fusefs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestEditors changes a tag with programs that keep files of their own beside
// the one they edit.
func TestEditors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ program, script string }{
		{"vim", `vim -u NONE -es -c '%s/"one"/"two"/' -c wq $tag </dev/null`},
		{"vim", `vim -u NONE -N -es -c 'set backup backupcopy=no backupdir=.' -c '%s/"one"/"two"/' -c wq $tag </dev/null`},
		{"vim", `vim -u NONE -N -es -c 'set backupcopy=yes fsync' -c '%s/"one"/"two"/' -c wq $tag </dev/null`},
		{"vim", `vim -u NONE -N -es -c 'set nowritebackup noswapfile' -c '%s/"one"/"two"/' -c wq $tag </dev/null`},
		{"ex", `printf '%%s/"one"/"two"/\nwq\n' | ex -s $tag`},
		{"perl", `perl -i -pe 's/"one"/"two"/' $tag && echo >>$tag`},
		{"sed", `sed -i 's/"one"/"two"/' $tag && echo >>$tag`},
		{"python3", `python3 -c 'import sys; p = sys.argv[1]; s = open(p).read(); open(p, "w").write(s.replace("one", "two") + "\n")' $tag`},
		{"python3", `python3 -c 'import sys; f = open(sys.argv[1], "r+"); s = f.read(); f.seek(0); f.truncate(); f.write(s.replace("one", "two") + "\n")' $tag`},
	} {
		for _, on := range []bool{true, false} {
			t.Run(c.script, func(t *testing.T) {
				t.Parallel()
				need(t, c.program)
				m := newMount(t, deletes(on))
				i := newImage("one")
				m.put(t, "app", i, "v1")
				m.bash(t, 0, c.script, "tag="+m.path("repositories/app/_tags/v1"))
				want := i
				want.manifest = []byte(strings.ReplaceAll(string(i.manifest), `"one"`, `"two"`) + "\n")
				m.wantTag(t, "app", "v1", want)
				if got := m.out(t, `ls -A $repos/app/_tags; ls -A raw/`+repoDir("app")+`/_manifests/tags`); got != "v1\nv1" {
					t.Errorf("ls -A _tags = %q, want v1 alone", got)
				}
			})
		}
	}
}

// TestPython copies as Python programs do.
func TestPython(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	m := newMount(t, withDeletes)
	i := newImage("one", layer("a", 10))
	m.put(t, "app", i, "v1")
	m.bash(t, 0, `python3 - $file $repos/app/_tags <<'END'
import os, shutil, sys, tempfile
src, tags = sys.argv[1:]
shutil.copy2(src, tags + "/copy2")
shutil.copyfile(src, tags + "/copyfile")
shutil.copy(tags + "/v1", tags + "/copy")
os.utime(tags + "/copy2", (1, 2))
assert os.stat(tags + "/copy2").st_mtime == 2
with tempfile.NamedTemporaryFile(dir=tags, delete=False) as f:
    f.write(open(src, "rb").read())
os.replace(f.name, tags + "/replace")
fd = os.open(tags + "/pwrite", os.O_RDWR | os.O_CREAT, 0o644)
content = open(src, "rb").read()
os.pwrite(fd, content[100:], 100)
os.pwrite(fd, content[:100], 0)
assert os.pread(fd, 10000, 0) == content
assert os.fstat(fd).st_size == len(content)
os.fsync(fd)
os.close(fd)
assert open(tags + "/pwrite", "rb").read() == content
try:
    open(tags + "/bad", "wb").write(b"bad")
except OSError:
    pass
try:
    with open(tags + "/bad", "wb") as f:
        f.write(b"bad")
    sys.exit("a bad manifest was taken")
except OSError as e:
    assert e.errno == 22, e
END
`, "file="+file(t, "m", i.manifest))
	for _, tag := range []string{"copy2", "copyfile", "copy", "replace", "pwrite"} {
		m.wantTag(t, "app", tag, i)
	}
	m.wantNoTag(t, "app", "bad")
}

// TestMemoryMap reads through maps: of a blob read by passthrough, of one in
// the page cache, and of a tag.
func TestMemoryMap(t *testing.T) {
	t.Parallel()
	for _, options := range [][]mountOption{nil, {inMemory}} {
		m := newMount(t, options...)
		big, small := layer("big", 3<<20), layer("small", 5000)
		i := newImage("one", big, small)
		m.put(t, "app", i, "v1")
		app := m.path("repositories/app")
		r := m.startCommand(t, childCommand(t, "mmap", app+"/_blobs/sha256/"+hexOf(big), app+"/_blobs/sha256/"+hexOf(small), app+"/_tags/v1"))()
		want := fmt.Sprintf("%[1]s\n%[1]s\n%[2]s\n%[2]s\n%[3]s\n%[3]s\n", hexOf(big), hexOf(small), i.hex())
		if r.stdout != want {
			t.Errorf("digests of what is mapped: %q, want %q; %s", r.stdout, want, r.stderr)
		}
	}
}

// TestUnusualCalls asks for what a registry's storage does not do.
func TestUnusualCalls(t *testing.T) {
	t.Parallel()
	need(t, "python3", "fallocate")
	m := newMount(t)
	i := newImage("one", layer("a", 10))
	m.put(t, "app", i, "v1")
	unchanged := m.unchanged(t)
	tag := "tag=" + m.path("repositories/app/_tags/v1")
	r := m.bash(t, 1, `fallocate -l 100 $tag`, tag)
	if !strings.Contains(r.stderr, "not supported") {
		t.Errorf("fallocate says %q, want not supported", r.stderr)
	}
	m.bash(t, 1, `mkfifo $repos/app/_tags/fifo`)
	m.bash(t, 0, `sync $tag && sync . && sync -f $tag && flock $tag true && flock -s $repos/app true`, tag)
	m.bash(t, 0, `python3 - $tag <<'END'
import array, errno, fcntl, os, sys, termios
p = sys.argv[1]
def fails(e, f, *args):
    try:
        f(*args)
    except OSError as got:
        assert got.errno == e, (f, got)
    else:
        raise AssertionError(f)
fd = os.open(p, os.O_RDONLY)
fails(errno.ENOTTY, fcntl.ioctl, fd, termios.TCGETS, array.array("i", [0] * 32))
fails(errno.EOPNOTSUPP, os.open, os.path.dirname(p), os.O_TMPFILE | os.O_RDWR, 0o600)
fails(errno.EOPNOTSUPP, os.setxattr, p, "user.x", b"x")
fcntl.lockf(fd, fcntl.LOCK_SH)
size = os.fstat(fd).st_size
assert os.lseek(fd, 0, os.SEEK_END) == size
assert os.lseek(fd, 0, os.SEEK_DATA) == 0
assert os.lseek(fd, 0, os.SEEK_HOLE) == size
os.lseek(fd, size + 10, os.SEEK_SET)
assert os.read(fd, 10) == b""
fails(errno.EINVAL, os.readlink, p)
fails(errno.ENOTDIR, os.open, p + "/x", os.O_RDONLY)
fails(errno.EISDIR, os.open, os.path.dirname(p), os.O_WRONLY)
fails(errno.EISDIR, os.unlink, os.path.dirname(p))
fails(errno.ENOTDIR, os.rmdir, p)
fails(errno.EEXIST, os.mkdir, p)
fails(errno.EEXIST, os.open, p, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
fails(errno.EPERM, os.rename, p, p + ".x")
fails(errno.ENOENT, os.rename, p + ".y", p + ".x")
fails(errno.ENOENT, os.stat, p + "x" * 300)
END
`, tag)
	unchanged()
}

// TestReopenForWriting writes through what names no path: /proc/self/fd.
func TestReopenForWriting(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	one, two := newImage("one", layer("a", 10)), newImage("two", layer("a", 10))
	m.put(t, "app", one, "v1")
	m.put(t, "app", two)
	m.bash(t, 0, `exec 3<$repos/app/_tags/v1 && cat $two >/proc/self/fd/3 && cmp $one /proc/self/fd/3 && cmp $two $repos/app/_tags/v1`,
		"one="+file(t, "one", one.manifest), "two="+file(t, "two", two.manifest))
	m.wantTag(t, "app", "v1", two)
}

// TestSha512 restores a blob under both of its names.
func TestSha512(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m := newMount(t)
	content := layer("content", 1000)
	d := m.putBlob(t, "app", content)
	alias := digest.SHA512.FromBytes(content)
	path := repoDir("app") + "/_layers/sha512/" + alias.Encoded() + "/link"
	m.bash(t, 0, `mkdir -p raw/${path%/*} && printf $digest >raw/$path`, "path="+path, "digest="+d.String())
	m.bash(t, 0, `cmp $repos/app/_blobs/sha512/$alias $repos/app/_blobs/sha256/$hex && test $repos/app/_blobs/sha512/$alias -ef $repos/app/_blobs/sha256/$hex`, "alias="+alias.Encoded(), "hex="+d.Encoded())
	backup := t.TempDir()
	to := newMount(t)
	to.bash(t, 0, `rsync -a $from/ $backup/ && mkdir $repos/app && rsync -a $backup/ $repos/app/ && rsync -a -i $backup/ $repos/app/`, "from="+m.path("repositories/app"), "backup="+backup)
	to.wantBlob(t, content)
	to.wantLink(t, layerLink("app", d), d)
	to.wantLink(t, path, d)
}
