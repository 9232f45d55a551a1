package fusefs

import (
	"bytes"
	"os"
	"testing"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// A large blob goes to its place in a remote store as it comes, whether it is
// copied there or to the temporary name that rsync renames.
func TestWriteThrough(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{`cp`, `rsync -a`, `rsync -a --inplace`} {
		for _, dir := range []string{"repositories/app/_blobs/sha256", "raw/docker/registry/v2/blobs/sha256"} {
			driver := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
			spool := t.TempDir()
			m := newMount(t, func(c *mountConfig) { c.driver, c.layout.SpoolDir = driver, spool })
			content := layer(tool+dir, 9<<20)
			hex := hexOf(content)
			to := dir + "/" + hex
			if dir[:3] == "raw" {
				to = dir + "/" + hex[:2] + "/" + hex + "/data"
				m.bash(t, 0, `mkdir -p $(dirname $mnt/$to)`, "mnt="+m.dir, "to="+to)
			} else {
				m.bash(t, 0, `mkdir -p $repos/app`)
			}
			if err := os.Remove(spool); err != nil { // no temporary file can be made
				t.Fatal(err)
			}
			driver.Reset()
			m.bash(t, 0, tool+` $file $mnt/$to`, "file="+file(t, hex, content), "mnt="+m.dir, "to="+to)
			if c := driver.Counts(); c["Writer"] != 1 || c["Move"] != 0 || c["Reader"] != 0 {
				t.Errorf("%s into %s: calls %v, want one Writer and no copy", tool, dir, c)
			}
			if err := os.Mkdir(spool, 0o700); err != nil {
				t.Fatal(err)
			}
			got, err := driver.GetContent(t.Context(), "/docker/registry/v2/blobs/sha256/"+hex[:2]+"/"+hex+"/data")
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s into %s: %d bytes are stored, %v, or other ones", tool, dir, len(got), err)
			}
		}
	}
}
