package fusefs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"registryfs/drivers/filesystem"
	"registryfs/layout"
)

// childServe mounts a store and serves it until its input ends.
func childServe(args []string) error {
	reg := layout.New(filesystem.New(filesystem.Parameters{RootDirectory: args[1]}), layout.Options{})
	srv, err := Mount(args[0], reg, Options{Source: "test", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())})
	if err != nil {
		return err
	}
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		srv.Wait()
	}()
	fmt.Println("mounted")
	io.Copy(io.Discard, os.Stdin)
	if err := srv.Unmount(); err != nil {
		return errors.Join(err, srv.Detach())
	}
	<-waited
	return nil
}

// served is a mount of another process.
type served struct {
	cmd *exec.Cmd
	in  io.Closer
}

// serve mounts a store from a process of its own.
func serve(t *testing.T, dir, store string) *served {
	t.Helper()
	cmd := childCommand(t, "serve", dir, store)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if on, err := IsMounted(dir); on || err != nil {
			t.Logf("clearing %s: %v", dir, errors.Join(err, Unmount(dir, true)))
		}
	})
	said := make([]byte, 8)
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "mounted\n" {
		t.Fatalf("the server says %q, %v", said, err)
	}
	return &served{cmd, in}
}

// shell runs a script outside of any mount of the test's own process.
func shell(t *testing.T, uid int, script string, variables ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("timeout", "-k", "1", "20", "bash", "-c", script)
	cmd.Env = append(os.Environ(), append(variables, "LC_ALL=C")...)
	if uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestOrdinaryUser mounts without privileges, by fusermount3 and without
// passthrough. It brings a /dev/fuse of its own: on some machines the common
// one is for root only.
func TestOrdinaryUser(t *testing.T) {
	needFUSE(t)
	needRoot(t) // to become somebody else
	need(t, "fusermount3", "unshare", "setpriv")
	const nobody = 65534
	base := t.TempDir()
	for d := base; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"mnt", "store", "work"} {
		if err := errors.Join(os.Mkdir(filepath.Join(base, name), 0o755), os.Chown(filepath.Join(base, name), nobody, nobody)); err != nil {
			t.Fatal(err)
		}
	}
	// go test keeps its binary where only root can go.
	binary := filepath.Join(base, "fusefs.test")
	if out, err := exec.Command("install", "-m", "755", self(t), binary).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	i := newImage("one", layer("a", 1_300_000))
	for name, content := range map[string][]byte{"m": i.manifest, "config": i.blobs[0], "layer": i.blobs[1]} {
		if err := os.WriteFile(filepath.Join(base, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := shell(t, os.Getuid(), `cd $base && exec unshare -m bash -c '
		mknod -m 666 fuse c 10 229 && mount --bind fuse /dev/fuse || exit 99
		exec setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "$script"'`, "base="+base, "self="+binary, "hex="+hexOf(i.blobs[1]), `script=
		mkfifo work/in
		`+childEnv+`=serve $self mnt store <work/in >work/out &
		exec 9>work/in
		for n in $(seq 100); do grep -q mounted work/out && break; sleep 0.05; done
		cp config layer mnt/repositories 2>/dev/null && exit 1
		mkdir mnt/repositories/app && cp config layer mnt/repositories/app/_blobs/ && cp -a m mnt/repositories/app/_tags/v1 &&
			cp mnt/repositories/app/_tags/v1 mnt/repositories/app/_tags/v2 && sed -i 's/"one"/"two"/' mnt/repositories/app/_tags/v2 &&
			sha256sum <mnt/repositories/app/_blobs/sha256/$hex && ls -lR mnt && grep passthrough mnt/.registryfs/stats || exit 1
		exec 9>&-
		wait $! && ! mountpoint -q mnt`)
	if strings.Contains(fmt.Sprint(err), "99") {
		t.Skipf("no /dev/fuse for an ordinary user: %s", out)
	}
	if err != nil || !strings.Contains(out, hexOf(i.blobs[1])+"  -") || !strings.Contains(out, "passthrough false") {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
	(&mount{store: filepath.Join(base, "store")}).wantTag(t, "app", "v1", i)
}

// TestDeadMount finds and clears a mount whose server was killed.
func TestDeadMount(t *testing.T) {
	needFUSE(t)
	dir, store := filepath.Join(t.TempDir(), "a mount point\twith blanks"), t.TempDir()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if on, err := IsMounted(dir); on || err != nil {
		t.Errorf("IsMounted before = %v, %v, want false", on, err)
	}
	s := serve(t, dir, store)
	if on, err := IsMounted(dir); !on || err != nil {
		t.Errorf("IsMounted = %v, %v, want true", on, err)
	}
	if on, err := IsMounted(store); on || err != nil {
		t.Errorf("IsMounted of another directory = %v, %v, want false", on, err)
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	if _, err := os.Stat(dir); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("stat of the dead mount = %v, want not connected", err)
	}
	if on, err := IsMounted(dir); !on || err != nil {
		t.Errorf("IsMounted of the dead mount = %v, %v, want true", on, err)
	}
	if err := ClearDead(dir); err != nil {
		t.Errorf("ClearDead: %v", err)
	}
	s = serve(t, dir, store)
	if out, err := shell(t, os.Getuid(), `ls "$dir"`, "dir="+dir); err != nil || !strings.Contains(out, "README.txt") {
		t.Errorf("mounted again: %v, %s", err, out)
	}
	s.in.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

// TestKilledServer is killed in the midst of writes, again and again. No tag is
// torn, and what a tag needs is there.
func TestKilledServer(t *testing.T) {
	needFUSE(t)
	dir, store := t.TempDir(), t.TempDir()
	var images []image
	local := t.TempDir()
	for i := range 3 {
		images = append(images, newImage(fmt.Sprint("image", i), layer(fmt.Sprint("layer", i), 200_000)))
		for n, content := range append([][]byte{images[i].manifest}, images[i].blobs...) {
			if err := os.WriteFile(filepath.Join(local, fmt.Sprint(i, "-", n)), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := &mount{store: store}
	tagged := 0
	for round := range 3 {
		s := serve(t, dir, store)
		done := make(chan struct{})
		go func() {
			defer close(done)
			shell(t, os.Getuid(), `cd $dir && mkdir -p repositories/app; for n in $(seq 1000); do
				for i in 0 1 2; do cp $local/$i-1 $local/$i-2 repositories/app/_blobs/ && cp $local/$i-0 repositories/app/_tags/v$n && cp $local/$i-0 repositories/app/_tags/latest || exit; done
			done`, "dir="+dir, "local="+local)
		}()
		// The later it is killed the more there is.
		if !eventually(func() bool { return len(m.tags(t)) > 3*(round+1) }) {
			t.Errorf("round %d: only %v after %v", round, m.tags(t), patience)
		}
		s.cmd.Process.Kill()
		s.cmd.Wait()
		<-done
		if err := ClearDead(dir); err != nil {
			t.Fatalf("ClearDead: %v", err)
		}
		for _, tag := range m.tags(t) {
			link := string(m.stored(t, tagLink("app", tag)))
			if link == "" {
				continue // its index was written, and it was not tagged yet
			}
			found := false
			for _, i := range images {
				if link == i.digest().String() {
					found = true
					m.wantTag(t, "app", tag, i)
				}
			}
			if !found {
				t.Errorf("round %d: tag %s = %q", round, tag, link)
			}
			tagged++
		}
	}
	if tagged == 0 {
		t.Error("nothing was ever tagged")
	}
	s := serve(t, dir, store)
	if out, err := shell(t, os.Getuid(), `cd $dir && ls -lR repositories info blobs >/dev/null && cat repositories/app/_tags/* >/dev/null && cp $local/0-0 repositories/app/_tags/latest`, "dir="+dir, "local="+local); err != nil {
		t.Errorf("after all: %v, %s", err, out)
	}
	s.in.Close()
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

// tags are the names in the store's directory of tags.
func (m *mount) tags(t *testing.T) []string {
	entries, err := os.ReadDir(filepath.Join(m.store, repoDir("app"), "_manifests/tags"))
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestUnmountBusy keeps a mount that is in use.
func TestUnmountBusy(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	i := newImage("one", layer("a", 10))
	m.put(t, "app", i, "v1")
	f, err := os.OpenFile(m.path("repositories/app/_tags/v2"), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.srv.Unmount(); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("Unmount with a file open = %v, want busy", err)
	}
	if got := m.srv.Uploading(); len(got) != 1 || got[0] != "/repositories/app/_tags/v2" {
		t.Errorf("Uploading = %q, want the file that is open", got)
	}
	if _, err := f.Write(i.manifest); err != nil {
		t.Error(err)
	}
	if err := m.srv.Detach(); err != nil {
		t.Errorf("Detach: %v", err)
	}
	if on, err := IsMounted(m.dir); on || err != nil {
		t.Errorf("IsMounted after Detach = %v, %v", on, err)
	}
	// What was begun can be ended.
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	m.wantTag(t, "app", "v2", i)
	if err := m.srv.Unmount(); err == nil {
		t.Error("Unmount of what is not mounted succeeds")
	}
}

// TestMountErrors mounts where that is not possible.
func TestMountErrors(t *testing.T) {
	needFUSE(t)
	reg := layout.New(filesystem.New(filesystem.Parameters{RootDirectory: t.TempDir()}), layout.Options{})
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), file(t, "file", nil)} {
		if _, err := Mount(dir, reg, Options{}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("Mount on %s = %v, want an error that names it", dir, err)
		}
		if on, err := IsMounted(dir); on || err != nil {
			t.Errorf("IsMounted(%s) = %v, %v", dir, on, err)
		}
	}
	state := filepath.Join(file(t, "file", nil), "state")
	if _, err := Mount(t.TempDir(), reg, Options{StateDir: state}); err == nil {
		t.Error("Mount with a state directory below a file succeeds")
	}
}

// TestOthers lets other users in where that was asked for, subject to modes.
func TestOthers(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const nobody = 65534
	for _, allow := range []bool{true, false} {
		m := newMount(t, func(c *mountConfig) { c.AllowOther, c.Umask = allow, 0o022 })
		i := newImage("one", layer("a", 10))
		m.put(t, "app", i, "v1")
		for d := m.dir; d != os.TempDir(); d = filepath.Dir(d) {
			if d != m.dir {
				os.Chmod(d, 0o755)
			}
		}
		out, err := shell(t, nobody, `cat $dir/repositories/app/_tags/v1 && ls -lR $dir && ! cp $dir/repositories/app/_tags/v1 $dir/repositories/app/_tags/v2 && ! rm $dir/repositories/app/_tags/v1`, "dir="+m.dir)
		if (err == nil) != allow {
			t.Errorf("allow_other=%v: another user: %v\n%s", allow, err, out)
		}
		m.wantNoTag(t, "app", "v2")
	}
}

// TestTightUmask writes as users who give others nothing: each new file looks
// like a temporary one then.
func TestTightUmask(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m := newMount(t)
	i := newImage("one", layer("a", 10))
	m.put(t, "app", i)
	local := file(t, "m", i.manifest)
	scripts := []string{`cp $file $tag`, `cp -p $file $tag`, `install $file $tag`, `rsync -a $file $tag`, `cat $file >$tag`, `tee $tag <$file`, `dd if=$file of=$tag conv=excl`,
		`python3 -c 'import sys; open(sys.argv[2], "x+b").write(open(sys.argv[1], "rb").read())' $file $tag`, `cp $file $tag && sed -i 's/nothing/x/' $tag`}
	for n, script := range scripts {
		if strings.Contains(script, "python3") {
			if _, err := exec.LookPath("python3"); err != nil {
				continue
			}
		}
		tag := "v" + strconv.Itoa(n)
		m.bash(t, 0, "umask 077; "+script, "file="+local, "tag="+m.path("repositories/app/_tags", tag))
		m.wantTag(t, "app", tag, i)
	}
	if got := m.out(t, `ls -A repositories/app/_tags | wc -l`); got != strconv.Itoa(len(scripts)) {
		t.Errorf("%s tags, want %d", got, len(scripts))
	}
}
