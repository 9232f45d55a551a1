package compat

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	series "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// scrapes are the samples of a mount at several times, as Prometheus would keep
// them.
type scrapes []promql.Series

// add takes in what was scraped at that time.
func (s *scrapes) add(t *testing.T, at time.Time, samples map[string]float64) {
	t.Helper()
	for name, value := range samples {
		metric, err := parser.ParseMetric(name)
		if err != nil {
			t.Fatal(err)
		}
		metric = labels.NewBuilder(metric).Set("instance", "node:9464").Labels()
		point := promql.FPoint{T: at.UnixMilli(), F: value}
		if old := s.find(metric); old != nil {
			old.Floats = append(old.Floats, point)
			continue
		}
		*s = append(*s, promql.Series{Metric: metric, Floats: []promql.FPoint{point}})
	}
}

func (s *scrapes) find(metric labels.Labels) *promql.Series {
	for i := range *s {
		if labels.Equal((*s)[i].Metric, metric) {
			return &(*s)[i]
		}
	}
	return nil
}

// Querier implements series.Queryable.
func (s *scrapes) Querier(int64, int64) (series.Querier, error) { return querier{s}, nil }

type querier struct{ s *scrapes }

func (q querier) Select(_ context.Context, _ bool, _ *series.SelectHints, matchers ...*labels.Matcher) series.SeriesSet {
	set := &selected{at: -1}
each:
	for _, one := range *q.s {
		for _, m := range matchers {
			if !m.Matches(one.Metric.Get(m.Name)) {
				continue each
			}
		}
		set.all = append(set.all, promql.NewStorageSeries(one))
	}
	return set
}

func (querier) LabelValues(context.Context, string, *series.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) LabelNames(context.Context, *series.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) Close() error { return nil }

type selected struct {
	all []series.Series
	at  int
}

func (s *selected) Next() bool                        { s.at++; return s.at < len(s.all) }
func (s *selected) At() series.Series                 { return s.all[s.at] }
func (s *selected) Err() error                        { return nil }
func (s *selected) Warnings() annotations.Annotations { return nil }

// panelQuery is a query of the dashboard.
type panelQuery struct{ Expr, LegendFormat string }

// dashboardQueries are those of scripts/grafana, with Grafana's own variables
// filled in.
func dashboardQueries(t *testing.T) []panelQuery {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "grafana", "registryfs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []panelQuery
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []panelQuery
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			q.Expr = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(q.Expr)
			queries = append(queries, q)
		}
	}
	if len(queries) < 20 {
		t.Fatalf("the dashboard has %d queries, more were expected", len(queries))
	}
	return queries
}

var legendLabel = regexp.MustCompile(`{{\s*(\w+)\s*}}`)

// answered wants a query of the dashboard to have an answer that has what its
// legend shows.
func (s *scrapes) answered(t *testing.T, q panelQuery, at time.Time) {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})
	defer engine.Close()
	expr := strings.TrimSuffix(q.Expr, " > 0") // what there is none of is not shown
	query, err := engine.NewInstantQuery(t.Context(), s, nil, expr, at)
	if err != nil {
		t.Errorf("query %s: %v", q.Expr, err)
		return
	}
	defer query.Close()
	result := query.Exec(t.Context())
	vector, err := result.Vector()
	if err != nil {
		t.Errorf("query %s: %v", q.Expr, err)
		return
	}
	numbers := 0
	for _, sample := range vector {
		if !math.IsNaN(sample.F) {
			numbers++
		}
		for _, label := range legendLabel.FindAllStringSubmatch(q.LegendFormat, -1) {
			if !sample.Metric.Has(label[1]) {
				t.Errorf("query %s has no label %s for its legend: %v", q.Expr, label[1], sample.Metric)
			}
		}
	}
	if numbers == 0 {
		t.Errorf("query %s has no answer: %v", q.Expr, vector)
	}
}
