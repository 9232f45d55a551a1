package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// get wants a page to be served.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, resp.Status, err, text)
	}
	return string(text)
}

// listening is the address that the log tells of.
func (f *foreground) listening(t *testing.T, what string) string {
	t.Helper()
	said := regexp.MustCompile(`msg=listening for=` + what + ` address=(\S+)`)
	var found []string
	eventually(t, "the address for "+what, func() bool {
		found = said.FindStringSubmatch(f.text())
		return found != nil
	})
	return found[1]
}

func TestMonitor(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	f := startForeground(t, s, "--metrics", "127.0.0.1:0", "--pprof", ":0")
	if _, err := os.ReadDir(s.mnt); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.mnt+"/new", nil, 0o644); err == nil {
		t.Error("a file at the top of the mount was taken")
	}
	text := get(t, "http://"+f.listening(t, "metrics")+"/metrics")
	for _, want := range []string{
		`registryfs_operation_duration_seconds_count{operation="opendir"} 1` + "\n",
		`registryfs_operation_duration_seconds_bucket{operation="opendir",le="30"} 1` + "\n",
		`registryfs_errors_total{errno="EPERM"} 1` + "\n",
		`registryfs_mount_info{driver="filesystem",mountpoint="` + s.mnt + `",source="` + s.store + `",`,
		`registryfs_driver_call_duration_seconds_count{method="Stat"} `,
		"process_resident_memory_bytes ", "go_goroutines ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in:\n%s", want, text)
		}
	}
	profiles := f.listening(t, "pprof")
	if !strings.HasPrefix(profiles, "127.0.0.1:") {
		t.Errorf("profiles are served on %s, want this machine alone", profiles)
	}
	if text := get(t, "http://"+profiles+"/debug/pprof/goroutine?debug=1"); !strings.Contains(text, "fusefs") {
		t.Errorf("no goroutine of fusefs in %s", text)
	}

	other := newScene(t)
	got := registryfs(t, "mount", other.store, other.mnt, "--metrics", f.listening(t, "metrics"))
	if got.status != 1 || !strings.Contains(got.stderr, "address already in use: choose another") {
		t.Errorf("mount with an address that is taken: %v, want it refused", got)
	}
	other.unmounted(t)
}

func TestAddressSetter(t *testing.T) {
	for text, want := range map[string]string{
		":9464": "127.0.0.1:9464", "0.0.0.0:1": "0.0.0.0:1", "[::1]:80": "[::1]:80",
		"": "", "9464": "", "host": "", ":x": "", ":99999": "",
	} {
		var got string
		if err := addressSetter(&got, "127.0.0.1")(text); got != want || (err == nil) != (want != "") {
			t.Errorf("address %q = %q, %v, want %q", text, got, err, want)
		}
	}
}
