package compat

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// TestMetrics uses a mount of a bucket in all ways that are counted, scrapes it,
// and wants every query of the dashboard to be about something that is there.
func TestMetrics(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	dir := mount(t, standardStorage(t, onS3, v3), "--log-file", log, "--metrics", "127.0.0.1:0")
	if r := try(t, "sh", "-ec", `cd "$0"
find . >/dev/null
cat repositories/*/_tags/* >/dev/null
for i in 1 2; do find repositories -path '*/_blobs/*' -type f -exec cat {} + >/dev/null; done
tag=$(find repositories -path '*/_tags/*' | head -n 1)
cp "$tag" "$(dirname "$tag")/copied"
! cp README.txt "$(dirname "$tag")/bad"
`, dir); r.code != 0 {
		t.Fatal(r.stderr)
	}
	samples := scrape(t, listeningAt(t, log, "metrics"))
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

	exported := map[string]bool{}
	for name := range samples {
		name, _, _ = strings.Cut(name, "{")
		exported[name] = true
	}
	for _, query := range dashboardQueries(t) {
		expr, err := parser.ParseExpr(query)
		if err != nil {
			t.Errorf("query %s: %v", query, err)
			continue
		}
		parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
			if v, ok := node.(*parser.VectorSelector); ok && !exported[v.Name] {
				t.Errorf("query %s: %s is not exported", query, v.Name)
			}
			return nil
		})
	}
}

// dashboardQueries are those of scripts/grafana, with Grafana's own variables
// filled in.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "grafana", "registryfs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(target.Expr))
		}
	}
	if len(queries) < 20 {
		t.Fatalf("the dashboard has %d queries, more were expected", len(queries))
	}
	return queries
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
