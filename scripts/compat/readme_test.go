package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A recipe is what the test does around the blocks of a chapter of the README, in
// their shell: before makes what they are for, after sees that they have done it.
// What they print is in ./out.
type recipe struct{ before, after string }

// recipes are the chapters that there have to be.
var recipes = map[string]recipe{
	"Nightly backup with rsync": {
		after: `test "$(content backup)" = "$(content $store)"`,
	},
	"Nightly backup with copy": {
		after: `test "$(content nightly)" = "$(content $store)"`,
	},
	"Restore one repository": {
		before: `rm -r $tree/repositories/team/app`,
		after: `test "$(content nightly)" = "$(content $store | grep -v /restored/)"
			test "$(tag restored/app 1.2)" = "$(tag team/app 1.2)"`,
	},
	"Move from disk to S3": {
		after: `./registryfs copy -q 's3://images/moved?region=us-east-1' from-s3
			test "$(content from-s3)" = "$(content $store)"`,
	},
	"Roll a tag back": {
		before: `was=$(ls -t $tree/repositories/team/app/_manifests/tags/latest/index/sha256/*/link | sed -n 2p)`,
		after:  `test $(tag team/app latest) = $(cat $was)`,
	},
	"Free space": {
		before: `garbage=$(echo garbage | sha256sum | cut -c -64)
			mkdir -p $(dirname $(blob $garbage))
			echo garbage >$(blob $garbage)
			tags=$(alltags)`,
		after: `grep team/app:1.2 largest.txt
			test ! -e $(blob $garbage)
			test "$(alltags)" = "$tags"
			./registryfs check -q $store`,
	},
	"Find who uses a layer": {
		after: `grep team/app/_blobs/sha256/$layer out
			grep team/app/_tags/1.2 out
			grep team/app/_manifests/sha256/$(tag team/app 1.2 | cut -c 8-) out
			test $(grep -c busybox out) = 0`,
	},
	"What changed since yesterday": {
		before: `find $store -exec touch -d '3 days ago' {} +
			cp -r $tree/repositories/team/app/_manifests/tags/1.2 $tree/repositories/team/app/_manifests/tags/fresh`,
		after: `test "$(grep /_tags/ out)" = $mnt/repositories/team/app/_tags/fresh
			test $(grep -c /_manifests/sha256/ out) = 0
			grep docker/registry/v2/repositories/team/app/_manifests/tags/fresh/current/link out`,
	},
	// The last layer of 1.2 is in no backup any more.
	"A full disk has broken the registry": {
		before: `app=$tree/repositories/team/app/_manifests
			is=$(tag team/app 1.2)
			only=$(jq -r '.layers[-1].digest' $(blob $(tag team/app 1.2 | cut -c 8-)) | cut -c 8-)
			truncate -s 10 $(blob $only) nightly/$(cd $store && ls docker/registry/v2/blobs/sha256/*/$only/data)
			truncate -s 0 $app/tags/1.2/current/link $app/revisions/sha256/*/link $(blob $(tag team/app 0.1.2 | cut -c 8-)) $(blob $(tag team/multi latest | cut -c 8-))
			set +e`,
		after: `set -e
			test $(tag team/app 1.2) = $is
			test ! -e $(blob $only)
			test "$(./registryfs check --json $store | jq -r '.findings[] | select(.weight == "fault") | .path + .digest' | grep -v $only)" = ''`,
	},
}

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

	script := "set -euxo pipefail\ncd '" + dir + "'\nexport GOCACHE=$(go env GOCACHE)\n" + // else in the next line's
		"export XDG_DATA_HOME=$PWD/data XDG_STATE_HOME=$PWD/state XDG_CACHE_HOME=$PWD/cache\n" +
		"export AWS_ENDPOINT_URL='" + server.Endpoint() + "'\n" + // the keys are set for all programs
		"store='" + store + "' mnt='" + mnt + "' tree='" + store + "/docker/registry/v2'\n" + looks
	commands := strings.NewReplacer("/var/lib/registry", store, "/mnt/registry", mnt).Replace(commandsOf(t, string(text)))
	// It builds the program from scratch.
	r := tryFor(t, 5*commandTimeout, "bash", "-c", script+commands)
	if r.code != 0 {
		t.Fatalf("exit status %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
}

// looks are functions for recipes: the digest that a tag has, a sum of all tags, the file of a
// blob, and what files with which content a store has.
const looks = `
tag() { cat $tree/repositories/$1/_manifests/tags/$2/current/link; }
alltags() { find $tree -path '*/current/link' | sort | sha256sum; }
blob() { echo $tree/blobs/sha256/${1:0:2}/$1/data; }
content() { (cd $1 && find docker -type f -not -path '*/_uploads/*' -exec sha256sum {} + | sort -k 2); }
`

// commandsOf are the shell blocks of the README, with recipes around those of their
// chapters.
func commandsOf(t testing.TB, readme string) string {
	t.Helper()
	var out strings.Builder
	chapter, blocks, inBlock := "", 0, false
	end := func() {
		if r, ok := recipes[chapter]; ok {
			out.WriteString("exec >&3\n" + r.after + "\n")
		}
	}
	seen := map[string]int{} // blocks of each chapter
	for line := range strings.Lines(readme) {
		switch {
		case line == "```sh\n":
			inBlock = true
			blocks++
			seen[chapter]++
		case line == "```\n":
			inBlock = false
		case inBlock:
			out.WriteString(line)
		case strings.HasPrefix(line, "## "), strings.HasPrefix(line, "### "):
			end()
			chapter = strings.TrimSpace(strings.TrimLeft(line, "#"))
			if r, ok := recipes[chapter]; ok {
				out.WriteString(r.before + "\nexec 3>&1 >out\n")
			}
		}
	}
	end()
	for name := range recipes {
		if seen[name] == 0 {
			t.Errorf("the README has no commands under %q", name)
		}
	}
	if blocks < 5 {
		t.Fatalf("the README has %d shell blocks, more were expected", blocks)
	}
	return out.String()
}
