package compat

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMetrics uses a mount of a bucket in all ways that are counted, scrapes it,
// and wants every query of the dashboard to have an answer.
func TestMetrics(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	dir := mount(t, standardStorage(t, onS3, v3), "--log-file", log, "--metrics", "127.0.0.1:0")
	use := func(tag string) {
		t.Helper()
		if r := try(t, "sh", "-ec", `cd "$0"
find . >/dev/null
cat repositories/*/_tags/* >/dev/null
for i in 1 2; do find repositories -path '*/_blobs/*' -type f -exec cat {} + >/dev/null; done
tag=$(find repositories -path '*/_tags/*' | head -n 1)
cp "$tag" "$(dirname "$tag")/$1"
! cp README.txt "$(dirname "$tag")/bad"
`, dir, tag); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	use("copied")
	address := listeningAt(t, log, "metrics")
	samples := scrape(t, address)
	for _, name := range []string{
		`registryfs_operation_duration_seconds_count{operation="read"}`, `registryfs_operation_duration_seconds_bucket{operation="lookup",le="30"}`,
		`registryfs_errors_total{errno="EINVAL"}`, `registryfs_written_bytes_total`, `registryfs_listed_entries_total`,
		`registryfs_driver_call_duration_seconds_sum{method="ReadRange"}`, `registryfs_driver_read_bytes_total`, `registryfs_driver_written_bytes_total`,
		`registryfs_store_requests_total{kind="GetObject"}`, `registryfs_store_requests_total{kind="ListObjectsV2"}`, `registryfs_store_requests_total{kind="PutObject"}`,
		`registryfs_memory_budget_bytes`, `registryfs_cache_hits_total`, `registryfs_cache_filled_bytes_total`,
	} {
		if samples[name] <= 0 {
			t.Errorf("%s = %v, want more than 0", name, samples[name])
		}
	}
	stats := run(t, "cat", filepath.Join(dir, ".registryfs", "stats"))
	if !regexp.MustCompile(`(?m)^request_GetObject [1-9]`).MatchString(stats) || !regexp.MustCompile(`(?m)^driver_ReadRange [1-9]`).MatchString(stats) {
		t.Errorf("stats = %s, want requests and driver calls", stats)
	}

	use("copied-too")
	var seen scrapes
	now := time.Now()
	seen.add(t, now.Add(-50*time.Second), samples)
	seen.add(t, now.Add(-10*time.Second), scrape(t, address))
	for _, query := range dashboardQueries(t) {
		seen.answered(t, query, now)
	}
}

// listeningAt is the address that the log of a mount tells of.
func listeningAt(t *testing.T, log, what string) string {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`msg=listening for=` + what + ` address=(\S+)`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("the log does not say where: %s", text)
	}
	return string(found[1])
}

// scrape returns the samples by name and labels.
func scrape(t *testing.T, address string) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	samples := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 1<<24))
	for lines.Scan() {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 && lines.Text()[0] != '#' {
			if samples[lines.Text()[:i]], err = strconv.ParseFloat(lines.Text()[i+1:], 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return samples
}
