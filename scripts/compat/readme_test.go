package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADME runs every command of the README's shell blocks, in their order
// and in one shell, on a store with the standard images. Only the two places
// that the README names are put elsewhere. Its bucket has them too, and the
// environment names its server.
func TestREADME(t *testing.T) {
	needFUSE(t)
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 5 {
		t.Fatalf("the README has %d shell blocks, more were expected", len(blocks))
	}
	dir := t.TempDir()
	store, mnt := filepath.Join(dir, "store"), filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", mnt).Run() }) // mounted only if a command failed
	run(t, "go", "run", "./cmd/fixture", "-standard", "-o", store)
	run(t, "sh", "-c", `git -C ../.. ls-files -z -- cmd drivers fusefs layout go.mod go.sum | tar -C ../.. --null -T - -cf - | tar -xf - -C "$0"`, dir)

	server, err := s3Server()
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := server.Bucket("images", "prod")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "go", "run", "./cmd/fixture", "-standard", "-o", bucket.Dir())

	script := "set -eux\ncd '" + dir + "'\nexport GOCACHE=$(go env GOCACHE)\n" + // else in the next line's
		"export XDG_DATA_HOME=$PWD/data XDG_STATE_HOME=$PWD/state XDG_CACHE_HOME=$PWD/cache\n"
	script += "export AWS_ENDPOINT_URL='" + server.Endpoint() + "'\n" // the keys are set for all programs
	for _, b := range blocks {
		script += b[1]
	}
	script = strings.NewReplacer("/var/lib/registry", store, "/mnt/registry", mnt).Replace(script)
	r := try(t, "bash", "-c", script)
	if r.code != 0 {
		t.Fatalf("exit status %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
}
