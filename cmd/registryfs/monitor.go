package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// monitor answers those who watch a mount: --metrics and --pprof, each on an
// address of its own.
type monitor struct {
	metrics, pprof net.Listener // nil: not asked for
	servers        []*http.Server
}

// listen takes the addresses, so that one that cannot be had is known before
// anything is mounted.
func (o *options) listen() (*monitor, error) {
	m := new(monitor)
	for _, l := range []struct {
		option, address string
		to              *net.Listener
	}{{"--metrics", o.metrics, &m.metrics}, {"--pprof", o.pprof, &m.pprof}} {
		if l.address == "" {
			continue
		}
		listener, err := net.Listen("tcp", l.address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w: choose another address", l.option, err), m.close())
		}
		*l.to = listener
	}
	return m, nil
}

// serve begins to answer.
func (m *monitor) serve(all prometheus.Gatherer, log *slog.Logger) {
	if m.metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("/metrics", promhttp.HandlerFor(all, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}))
		m.start(m.metrics, mux, "metrics", log)
	}
	if m.pprof != nil {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		m.start(m.pprof, mux, "pprof", log)
	}
}

func (m *monitor) start(l net.Listener, handler http.Handler, what string, log *slog.Logger) {
	log.Info("listening", "for", what, "address", l.Addr().String())
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	m.servers = append(m.servers, s)
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Warn("no longer listening", "for", what, "reason", err)
		}
	}()
}

// close lets go of the addresses.
func (m *monitor) close() error {
	var errs []error
	for _, s := range m.servers {
		errs = append(errs, s.Close())
	}
	if len(m.servers) == 0 { // they close them
		for _, l := range []net.Listener{m.metrics, m.pprof} {
			if l != nil {
				errs = append(errs, l.Close())
			}
		}
	}
	return errors.Join(errs...)
}
