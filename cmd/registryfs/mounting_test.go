package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"registryfs/layout"
)

func testMounting(o options) mounting {
	return mounting{options: &o, log: slog.New(slog.DiscardHandler)}
}

func TestSettleAccess(t *testing.T) {
	const remote = "https://registry-1.docker.io"
	tests := []struct {
		name                  string
		o                     options
		c                     registryConfig
		cache                 bool
		readOnly, allowDelete bool
	}{
		{name: "defaults"},
		{name: "options", o: options{readOnly: true, allowDelete: true, deleteSet: true}, readOnly: true, allowDelete: true},
		{name: "delete.enabled", c: registryConfig{allowDelete: true}, allowDelete: true},
		{name: "delete.enabled, and an option against it", o: options{deleteSet: true}, c: registryConfig{allowDelete: true}},
		{name: "readonly", c: registryConfig{readOnly: true}, readOnly: true},
		{name: "proxy", c: registryConfig{remote: remote}, readOnly: true},
		{name: "state of a cache", cache: true, readOnly: true},
		{name: "a cache by force", o: options{forceCacheWrites: true}, c: registryConfig{remote: remote}, cache: true},
		{name: "a readonly cache by force", o: options{forceCacheWrites: true}, c: registryConfig{remote: remote, readOnly: true}, readOnly: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := testMounting(test.o)
			m.settleAccess(store{registryConfig: test.c}, test.cache)
			if m.readOnly != test.readOnly || m.allowDelete != test.allowDelete {
				t.Errorf("read-only %t, deletes %t, want %t and %t", m.readOnly, m.allowDelete, test.readOnly, test.allowDelete)
			}
		})
	}
}

func TestSettleChildren(t *testing.T) {
	amd64, arm64 := layout.Platform{OS: "linux", Architecture: "amd64"}, layout.Platform{OS: "linux", Architecture: "arm64"}
	configured := layout.IndexChildren{Mode: layout.ChildrenNone, Platforms: []layout.Platform{amd64}}
	tests := []struct {
		name      string
		o         options
		config    layout.IndexChildren
		mode      layout.ChildrenMode
		platforms []layout.Platform
	}{
		{"configured", options{}, configured, layout.ChildrenNone, []layout.Platform{amd64}},
		{"option", options{children: mode(layout.ChildrenAll)}, configured, layout.ChildrenAll, []layout.Platform{amd64}},
		{"option with the configured list", options{children: mode(layout.ChildrenList)}, configured, layout.ChildrenList, []layout.Platform{amd64}},
		{"option with a list", options{children: mode(layout.ChildrenList), platforms: []layout.Platform{arm64}}, configured, layout.ChildrenList, []layout.Platform{arm64}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := store{registryConfig: registryConfig{children: test.config}}
			err := testMounting(test.o).settleChildren(&s)
			if err != nil || s.children.Mode != test.mode || len(s.children.Platforms) != 1 || s.children.Platforms[0] != test.platforms[0] {
				t.Errorf("children = %v, %v, want %v %v", s.children, err, test.mode, test.platforms)
			}
		})
	}
	err := testMounting(options{children: mode(layout.ChildrenList)}).settleChildren(&store{})
	if err == nil || !strings.Contains(err.Error(), "needs a list: --index-platforms") {
		t.Errorf("a list of nothing = %v, want an error", err)
	}
}

func TestOpenStore(t *testing.T) {
	m := testMounting(options{})
	if _, err := m.open(t.Context(), &store{registryConfig: registryConfig{driver: "floppy"}}); err == nil ||
		!strings.Contains(err.Error(), "StorageDriver not registered: floppy: the drivers are filesystem, inmemory") {
		t.Errorf("open of an unknown driver = %v, want those there are", err)
	}
	c := registryConfig{driver: "filesystem", params: map[string]any{"rootdirectory": t.TempDir(), "maxthreads": "many"}}
	if _, err := m.open(t.Context(), &store{registryConfig: c, source: "/c.yml"}); err == nil || !strings.Contains(err.Error(), "/c.yml") || !strings.Contains(err.Error(), "many") {
		t.Errorf("open with bad parameters = %v, want it to name them", err)
	}
}

func TestOpenCache(t *testing.T) {
	dir := tempDir(t)
	writeFile(t, filepath.Join(dir, "scheduler-state.json"), "{}")
	s, err := findStore(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := testMounting(options{})
	if _, err := m.open(t.Context(), &s); err != nil || !m.readOnly {
		t.Errorf("open of a cache = %v, read-only %t, want it read-only", err, m.readOnly)
	}
}

func TestMountArguments(t *testing.T) {
	source, mountpoint, err := mountArguments([]string{"src", "mnt"})
	if err != nil || source != "src" || mountpoint != "mnt" {
		t.Errorf("two arguments = %q %q, %v", source, mountpoint, err)
	}
	source, mountpoint, err = mountArguments([]string{"mnt"})
	if err != nil || source != "" || mountpoint != "mnt" {
		t.Errorf("one argument = %q %q, %v", source, mountpoint, err)
	}
	for _, args := range [][]string{nil, {""}, {"", "mnt"}, {"src", ""}, {"a", "b", "c"}} {
		if _, _, err := mountArguments(args); err == nil {
			t.Errorf("mountArguments(%q) gives no error", args)
		}
	}
}
