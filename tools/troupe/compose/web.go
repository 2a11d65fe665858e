package compose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// readyWithin bounds the question behind /readyz: a probe that waits longer has given up.
	readyWithin = 2 * time.Second
	// scrapesMax bounds scrapes under way; a further one is refused with 503.
	scrapesMax = 4
)

// WebConfig says what the port for metrics and health shows.
type WebConfig struct {
	// Listen is host:port; port 0 takes a free one.
	Listen string
	// Pprof serves profiles too.
	Pprof bool
	Log   *slog.Logger
	// Live fails when the process is beyond help and must be started again.
	Live func() error
	// Ready fails while the process cannot do its work.
	Ready func(context.Context) error
	// Metrics are shown beside those of the Go runtime and the process.
	Metrics []prometheus.Collector
}

// Web is the port for metrics and health.
type Web struct {
	server *http.Server
	addr   net.Addr
	failed chan error
}

// ServeWeb opens the port.
func ServeWeb(c WebConfig) (*Web, error) {
	registry := prometheus.NewRegistry()
	all := append([]prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, c.Metrics...)
	for _, metric := range all {
		if err := registry.Register(metric); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("http.listen: cannot listen on %s: %w (name another address, or port 0 for a free one)", c.Listen, err)
	}
	w := &Web{addr: listener.Addr(), failed: make(chan error, 1), server: &http.Server{
		Handler:           webHandler(c, registry),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a CPU profile takes its time
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}}
	go func() { w.failed <- w.server.Serve(listener) }()
	return w, nil
}

func webHandler(c WebConfig, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesMax, Timeout: 10 * time.Second, ErrorHandling: promhttp.ContinueOnError,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { health(w, c.Live()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		err := c.Live()
		if err == nil {
			err = c.Ready(ctx)
		}
		health(w, err)
	})
	if c.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func health(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// URL is where the port is.
func (w *Web) URL() string { return "http://" + w.addr.String() }

// Close lets requests end until ctx does.
func (w *Web) Close(ctx context.Context) error {
	err := w.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, w.server.Close())
	}
	if served := <-w.failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
