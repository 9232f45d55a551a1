package fusefs

import (
	"fmt"
	"testing"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// A large blob of a remote store is read past the page cache, by all that can
// read a file, mmap included.
func TestReadDirectly(t *testing.T) {
	t.Parallel()
	m := newMount(t, func(c *mountConfig) { c.driver = drivertest.Remote(inmemory.New()) })
	content := layer("direct", directSize+100_000)
	m.putBlob(t, "app", content)
	path := m.path("repositories/app/_blobs/sha256/" + hexOf(content))
	m.bash(t, 0, `cmp $file $path`, "file="+file(t, "content", content), "path="+path)
	r := m.startCommand(t, childCommand(t, "mmap", path))()
	if want := fmt.Sprintf("%[1]s\n%[1]s\n", hexOf(content)); r.stdout != want {
		t.Errorf("digests of what is mapped: %q, want %q; %s", r.stdout, want, r.stderr)
	}
}
