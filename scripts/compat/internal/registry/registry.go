package registry

import (
	"context"
	"encoding/json"
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

// config is the registry's configuration, with its storage driver, that one's
// parameters and its own address.
const config = `version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  delete: {enabled: true}
  redirect: {disable: true}
  maintenance: {uploadpurging: {enabled: false}}
  %s: %s
http: {addr: %q, secret: compat}
`

// startTimeout is how long a registry may take to answer, on a busy machine.
const startTimeout = time.Minute

// Registry is a running registry.
type Registry struct {
	// Host is its address, as in an image's name.
	Host string

	cmd    *exec.Cmd
	log    process.Output
	config string
	exited chan struct{} // closed when the process has ended
}

// Start runs program on rootdirectory and returns when it answers requests.
func Start(ctx context.Context, program, rootdirectory string) (*Registry, error) {
	return StartOn(ctx, program, "filesystem", map[string]any{"rootdirectory": rootdirectory})
}

// StartOn runs program on what a storage driver with these parameters keeps,
// and returns when it answers requests.
func StartOn(ctx context.Context, program, driver string, params map[string]any) (*Registry, error) {
	storage, err := json.Marshal(params) // which is YAML, too
	if err != nil {
		return nil, fmt.Errorf("configure registry: %w", err)
	}
	host, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "registry-*")
	if err != nil {
		return nil, err
	}
	r := &Registry{Host: host, config: dir, exited: make(chan struct{})}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, driver, storage, host), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}

	// Not CommandContext: the process lives until Stop.
	r.cmd = exec.Command(program, "serve", file)
	// Version 1 of the AWS SDK, in 2.8, fails when it is given a CA bundle.
	r.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "AWS_CA_BUNDLE=")
	r.cmd.Stdout, r.cmd.Stderr = &r.log, &r.log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start registry: %w", err), os.RemoveAll(dir))
	}
	go func() {
		_ = r.cmd.Wait() // a registry that dies shows in the requests to it
		close(r.exited)
	}()
	if err := r.waitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", program, err, r.Log()), r.Stop())
	}
	return r, nil
}

func (r *Registry) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("registry does not answer: %w", ctx.Err())
		case <-r.exited:
			return errors.New("registry ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Host+"/v2/", nil)
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

// Log is what the registry has printed.
func (r *Registry) Log() string { return r.log.String() }

// Stop ends the registry and waits for it.
func (r *Registry) Stop() error {
	err := r.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-r.exited
	return errors.Join(err, os.RemoveAll(r.config))
}
