package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"registryfs/scripts/compat/internal/s3server"
)

// peer is another program that mounts a bucket.
type peer struct {
	name, version string
	program       string
	args          func(m *s3Mount, config string) []string
	config        func(m *s3Mount) string // what is written to its configuration file
}

// rcloneVersion is what "newest" means here: the one that the module proxy has.
const rcloneVersion = "latest"

// findPeers returns those that are there, or, unless the run is a quick one,
// can be had.
func (b *bench) findPeers(ctx context.Context) (peers []*peer) {
	for _, find := range []func(context.Context) (*peer, error){b.findRclone, b.findS3fs} {
		p, err := find(ctx)
		if err != nil {
			b.log("%v", err)
			continue
		}
		peers = append(peers, p)
	}
	return peers
}

func (b *bench) findRclone(ctx context.Context) (*peer, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "registryfs-tools", "bin")
	program := filepath.Join(dir, "rclone")
	if _, err := os.Stat(program); errors.Is(err, os.ErrNotExist) && !b.quick {
		b.log("building rclone, once; five minutes or more ...")
		cmd := exec.CommandContext(ctx, "go", "install", "github.com/rclone/rclone@"+rcloneVersion)
		cmd.Env = append(os.Environ(), "GOBIN="+dir)
		cmd.Dir = "/" // not in a module
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build rclone: %w: %s", err, out)
		}
	}
	version, err := firstLine(ctx, program, "version")
	return &peer{
		name: "rclone mount", version: version, program: program,
		config: func(m *s3Mount) string {
			return fmt.Sprintf("[s3]\ntype=s3\nprovider=Other\nforce_path_style=true\nregion=%s\nendpoint=%s\naccess_key_id=%s\nsecret_access_key=%s\n",
				s3server.Region, m.endpoint, s3server.AccessKey, s3server.SecretKey)
		},
		args: func(m *s3Mount, config string) []string {
			return append([]string{"mount", "--config", config, "--use-server-modtime", "--dir-cache-time", "1h"},
				append(m.rclone, "s3:"+m.bucket.Name, m.mountpoint)...)
		},
	}, err
}

func (b *bench) findS3fs(ctx context.Context) (*peer, error) {
	if _, err := exec.LookPath("s3fs"); err != nil && !b.quick && os.Geteuid() == 0 {
		b.log("installing s3fs ...")
		cmd := exec.CommandContext(ctx, "apt-get", "install", "-y", "--no-install-recommends", "s3fs")
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("install s3fs: %w: %s", err, out)
		}
	}
	program, err := exec.LookPath("s3fs")
	if err != nil {
		return nil, err
	}
	version, err := firstLine(ctx, program, "--version")
	return &peer{
		name: "s3fs", version: version, program: program,
		config: func(*s3Mount) string { return s3server.AccessKey + ":" + s3server.SecretKey + "\n" },
		args: func(m *s3Mount, config string) []string {
			return []string{
				m.bucket.Name, m.mountpoint, "-f", "-o", "passwd_file=" + config + ",url=" + m.endpoint +
					",use_path_request_style,multireq_max=50,parallel_count=8,multipart_size=16,max_stat_cache_size=200000",
			}
		},
	}, err
}

func firstLine(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	line, _, _ := strings.Cut(string(bytes.TrimSpace(out)), "\n")
	return line, err
}

// s3Mount is a bucket that a contender mounts, or has mounted.
type s3Mount struct {
	*server
	contender  string // "" is registryfs
	bucket     s3server.Bucket
	endpoint   string
	mountpoint string
	rclone     []string // options
	dir        string   // with all that belongs to it
	scratch    string   // for what is copied out
	task       string   // that is being done
}

// path is where an object lies in the mount.
func (m *s3Mount) path(key string) string {
	if m.contender == "" {
		key = "raw/" + key
	}
	return filepath.Join(m.mountpoint, filepath.FromSlash(key))
}

// mountPeer mounts a bucket by another program.
func (e *s3Env) mountPeer(ctx context.Context, p *peer, m *s3Mount) error {
	m.contender = p.name
	m.mountpoint = filepath.Join(m.dir, "mnt")
	config := filepath.Join(m.dir, "config")
	err := errors.Join(os.MkdirAll(m.mountpoint, 0o755), os.WriteFile(config, []byte(p.config(m)), 0o600))
	if err != nil {
		return err
	}
	if m.server, err = launch(ctx, self, m.mountpoint, p.program, p.args(m, config)...); err != nil {
		return err
	}
	patience := time.After(startPatience)
	for !isMounted(m.mountpoint) {
		select {
		case err := <-m.ended:
			return fmt.Errorf("%s ended before it was mounted: %w\n%s", p.name, err, m.log.text())
		case <-ctx.Done():
			return errors.Join(ctx.Err(), m.stop())
		case <-patience:
			return errors.Join(fmt.Errorf("%s has not mounted\n%s", p.name, m.log.text()), m.stop())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func isMounted(dir string) bool {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return err == nil && bytes.Contains(mounts, []byte(" "+dir+" "))
}
