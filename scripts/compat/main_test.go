package compat

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// scratch is a directory for what all tests share. TestMain removes it.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) (code int) {
	if os.Getenv("COMPAT_FULL") == "" {
		if err := flag.Set("test.short", "true"); err != nil {
			panic(err) // the flag is the testing package's
		}
	}
	var err error
	if scratch, err = os.MkdirTemp("", "compat-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	defer func() {
		if err := stopS3Server(); err != nil {
			fmt.Fprintln(os.Stderr, "stop S3 server:", err)
			code = 1
		}
	}()
	return m.Run()
}
