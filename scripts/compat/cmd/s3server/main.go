// Command s3server runs an S3 server for the time of a command, or until it is
// told to end.
//
//	s3server [-dir DIR] COMMAND [ARGUMENT...]
//	s3server [-dir DIR] >FILE &
//
// The command finds the credentials in the AWS_ variables, the server's URL in
// S3_ENDPOINT and where it keeps its buckets in S3_BUCKETS; a directory made
// there is a bucket. Without a command these are printed for a shell to read,
// and SIGINT or SIGTERM ends the server. Without -dir all content is gone then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"registryfs/scripts/compat/internal/s3server"
	"registryfs/scripts/compat/internal/tools"
)

func main() {
	dir := flag.String("dir", "", "keep what is stored in this `directory`")
	build := flag.Bool("build", false, "only build the server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *dir, *build, flag.Args())
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, build bool, command []string) (err error) {
	program, err := tools.Versitygw(ctx)
	if err != nil || build {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "s3server-*"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	s, err := s3server.Start(ctx, program, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()

	env := append(s3server.Environ(), "S3_ENDPOINT="+s.Endpoint(), "S3_BUCKETS="+s.Buckets())
	if len(command) > 0 {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), env...)
		return cmd.Run()
	}
	var text strings.Builder
	for _, variable := range env {
		fmt.Fprintln(&text, "export", variable)
	}
	fmt.Print(text.String()) // at once: a reader sees all of it or nothing
	<-ctx.Done()
	return nil
}
