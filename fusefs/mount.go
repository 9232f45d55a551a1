package fusefs

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"registryfs/layout"
)

// Server is a mounted file system.
type Server struct {
	s          *fsys
	fuse       *fuse.Server
	mountpoint string
	served     chan struct{} // closed when the kernel has let go
}

const (
	requestSize = 1 << 20 // the most the kernel takes
	readAheadKB = requestSize >> 10

	// maxBackground caps all buffered reads of the mount: with go-fuse's 12,
	// readers of a slow store wait for each other.
	maxBackground = 512

	// capHandleKillprivV2 lets the kernel write without asking for the
	// security.capability attribute before each request.
	capHandleKillprivV2 = 1 << 28
)

// Mount mounts reg's content and returns when the mount answers. As root it
// needs no helper program, else fusermount3.
func Mount(mountpoint string, reg *layout.Registry, o Options) (*Server, error) {
	s, err := newFsys(reg, o)
	if err != nil {
		return nil, err
	}
	mountpoint, err = filepath.Abs(mountpoint)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(mountpoint)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "mount on", Path: mountpoint, Err: syscall.ENOTDIR} // the kernel takes a file
	}
	if err != nil {
		return nil, err
	}
	server, err := fuse.NewServer(s, mountpoint, s.mountOptions())
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", mountpoint, err)
	}
	srv := &Server{s: s, fuse: server, mountpoint: mountpoint, served: make(chan struct{})}
	s.passthrough.enabled.Store(os.Geteuid() == 0)
	go func() {
		defer close(srv.served)
		server.Serve()
	}()
	// Not server.WaitMount: NewServer has answered INIT, and WaitMount opens a
	// file of the mount in this very process. Killed at that moment it would
	// never end: the kernel closes that file before /dev/fuse, and waits for an
	// answer to FLUSH that nobody is left to give.
	go s.notify.run()
	closeOnExec()
	s.raiseReadAhead(mountpoint)
	return srv, nil
}

func (s *fsys) mountOptions() *fuse.MountOptions {
	words := append([]string(nil), s.opts.MountOptions...)
	root := os.Geteuid() == 0
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOATIME)
	if s.opts.ReadOnly {
		words = append(words, "ro")
		flags |= syscall.MS_RDONLY
	}
	if !root {
		words = append(words, "noatime") // as the flag does for root
	}
	if s.opts.AllowOther {
		// Without it the kernel checks no mode at all when others open a file.
		words = append(words, "default_permissions")
	}
	caps := uint64(fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_DIRECT_IO_ALLOW_MMAP)
	if s.opts.XAttrs {
		caps |= capHandleKillprivV2
	}
	return &fuse.MountOptions{
		FsName:            s.opts.Source,
		Name:              "registryfs",
		AllowOther:        s.opts.AllowOther,
		Options:           words,
		DirectMountStrict: root,
		DirectMountFlags:  flags,
		MaxWrite:          requestSize,
		MaxBackground:     maxBackground,
		DisableXAttrs:     !s.opts.XAttrs,
		DisableSplice:     true, // slower than a copy at these sizes
		ExtraCapabilities: caps,
		Debug:             s.opts.Debug,
		Logger:            slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		PanicHandler: func(v any) fuse.Status {
			s.log.Error("panic in a request", "panic", v, "stack", string(debug.Stack()))
			s.stats.failed(syscall.EIO)
			return fuse.EIO
		},
	}
}

// closeOnExec keeps /dev/fuse from child processes: one that outlived us would
// leave the mount hanging instead of failing. A direct mount does not set it.
func closeOnExec() {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to != "/dev/fuse" {
			continue
		}
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil {
			syscall.CloseOnExec(fd)
		}
	}
}

// raiseReadAhead lets the kernel ask for 1 MiB at once. It offers 128 KiB, and
// only root may change that; without, large files are read more slowly.
func (s *fsys) raiseReadAhead(mountpoint string) {
	m, err := mountOf(mountpoint)
	if err != nil || m == nil {
		return
	}
	bdi := "/sys/class/bdi/" + m.device + "/read_ahead_kb"
	if err := os.WriteFile(bdi, fmt.Append(nil, readAheadKB), 0); err != nil {
		s.log.Debug("read-ahead stays small", "error", err)
	}
}

// Wait returns when the file system is unmounted, by whomever.
func (s *Server) Wait() {
	<-s.served
	close(s.s.notify.done)
}

// Unmount ends the mount; it is syscall.EBUSY while a file is open in it.
func (s *Server) Unmount() error {
	if err := Unmount(s.mountpoint, false); err != nil {
		return err
	}
	<-s.served
	return nil
}

// Detach takes the mount out of the tree at once; it ends when the last file
// open in it is closed.
func (s *Server) Detach() error { return Unmount(s.mountpoint, true) }

// Uploading returns the paths of the files that are being written.
func (s *Server) Uploading() []string { return s.s.handles.uploading(s.s) }

// place is where the node was last found.
func (t *nodeTable) place(n *node) (*node, string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return n.parent, n.name
}

// ClearDead takes a dead mount off its mount point.
func ClearDead(mountpoint string) error { return Unmount(mountpoint, true) }

// IsMounted tells whether a registryfs is mounted on exactly that directory.
func IsMounted(mountpoint string) (bool, error) {
	m, err := mountOf(mountpoint)
	return m != nil && m.fstype == "fuse.registryfs", err
}

// mounted is one line of the mount table.
type mounted struct {
	device string // major:minor
	fstype string
}

// mountOf finds the topmost mount on a directory, or nil. It does not touch
// the directory: a dead mount answers nothing.
func mountOf(mountpoint string) (*mounted, error) {
	mountpoint, err := filepath.Abs(mountpoint)
	if err != nil {
		return nil, err
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(mountpoint)); err == nil {
		mountpoint = filepath.Join(dir, filepath.Base(mountpoint))
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var last *mounted
	for line := range strings.Lines(string(table)) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 || unescape(fields[4]) != mountpoint {
			continue
		}
		fstype, _, _ := strings.Cut(after, " ")
		last = &mounted{device: fields[2], fstype: fstype}
	}
	return last, nil
}

// unescape undoes the mount table's \040 and the like.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// Unmount takes the file system off mountpoint: by umount2(2) as root, else
// by fusermount3. Without lazy it is syscall.EBUSY while in use.
func Unmount(mountpoint string, lazy bool) error {
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		if lazy && IsDead(mountpoint) {
			flags |= unix.MNT_FORCE // ends the requests that nobody will answer
		}
		return unix.Unmount(mountpoint, flags)
	}
	return fusermount(mountpoint, lazy)
}
