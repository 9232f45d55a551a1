package s3server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"registryfs/scripts/compat/internal/process"
)

// What every server is started with.
const (
	AccessKey = "registryfs"
	SecretKey = "registryfs-secret"
	Region    = "us-east-1"
)

// startTimeout is how long a server may take to answer, on a busy machine.
const startTimeout = time.Minute

// healthPath is no bucket's: a name begins with a letter or a digit.
const healthPath = "/-/health"

// Server is an S3 server. Resume, Stop, Pause and Continue are not safe for
// concurrent use.
type Server struct {
	program string
	dir     string
	address string

	cmd    *exec.Cmd
	output process.Output
	exited chan struct{} // closed when the process has ended
}

// Start runs program, a versitygw, and returns when it answers requests. It
// keeps what it has in dir, which must be on a filesystem with extended
// attributes.
func Start(ctx context.Context, program, dir string) (*Server, error) {
	address, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{program: program, dir: dir, address: address}
	if err := s.Resume(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Resume starts a stopped server again, at the address and with the content it
// had.
func (s *Server) Resume(ctx context.Context) error {
	if err := os.MkdirAll(s.Buckets(), 0o755); err != nil {
		return fmt.Errorf("start S3 server: %w", err)
	}
	// Not CommandContext: the process lives until Stop.
	s.cmd = exec.Command(s.program, "--port", s.address, "--access", AccessKey, "--secret", SecretKey,
		"--region", Region, "--keep-alive", "--quiet", "--health", healthPath, "--access-log", s.log(),
		"posix", s.Buckets())
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start S3 server: %w", err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // a server that dies shows in the requests to it
		close(exited)
	}(s.cmd)
	if err := s.waitReady(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s: %w\n%s", s.program, err, s.Output()), s.Stop())
	}
	return nil
}

func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("S3 server does not answer: %w", ctx.Err())
		case <-s.exited:
			return errors.New("S3 server ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+healthPath, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
}

// Stop kills the server, in the middle of whatever it does, and waits for it.
func (s *Server) Stop() error {
	err := s.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-s.exited
	return err
}

// Pause stops the server in its tracks: connections stay open and nothing is
// answered, until Continue.
func (s *Server) Pause() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Endpoint is the server's URL.
func (s *Server) Endpoint() string { return "http://" + s.address }

// Output is what the server has printed.
func (s *Server) Output() string { return s.output.String() }

// Buckets is the directory that holds the buckets.
func (s *Server) Buckets() string { return filepath.Join(s.dir, "buckets") }
func (s *Server) log() string     { return filepath.Join(s.dir, "access.log") }
