package cmd

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"github.com/troupe-sched/troupe/tools/troupe/compose"
	"github.com/troupe-sched/troupe/tools/troupe/config"
)

var update = flag.Bool("update", false, "write the golden files again")

// moment is when the fake cell's jobs were submitted; the tests look at them 95 seconds later.
var moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// harness is the program with a fake cell and a home of its own.
type harness struct {
	t    *testing.T
	cell *fakeCell
	home string
	app  *App
	in   string
	// hurry is closed by a second interrupt.
	hurry chan struct{}
	// opened counts embedded cells, reached connections.
	opened, reached int
	server          *fakeServer
	// broken is how servers fail after a second.
	broken error
}

// locked is a buffer that may be written from several goroutines.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(data)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	return &harness{t: t, home: t.TempDir(), cell: &fakeCell{
		jobs: map[string]*v1.JobStatus{}, next: map[string][]*v1.JobStatus{}, queues: map[string]*v1.QueueSpec{},
		logs: map[string][]*v1.LogChunk{}, result: map[string][]*v1.InstanceResult{},
	}}
}

func (h *harness) run(args ...string) (code int, stdout, stderr string) {
	return h.runIn(context.Background(), false, args...)
}

func (h *harness) runIn(ctx context.Context, terminal bool, args ...string) (code int, stdout, stderr string) {
	var out, err locked
	h.app = &App{
		Version: "v1.2.3", In: strings.NewReader(h.in), Out: Stream{&out, terminal}, Err: Stream{&err, terminal},
		Now: func() time.Time { return moment.Add(95 * time.Second) },
		Sources: func(fs *pflag.FlagSet) config.Sources {
			return config.Sources{Flags: fs, Environ: []string{"HOME=" + h.home}, Hostname: "host-a"}
		},
		World: h.world(), Hurry: h.hurry,
	}
	code = Run(ctx, h.app, args)
	return code, out.String(), err.String()
}

func (h *harness) world() World {
	open := func(role string) func(context.Context, *config.Config, *slog.Logger) (Server, error) {
		return func(_ context.Context, c *config.Config, _ *slog.Logger) (Server, error) {
			s := &fakeServer{facts: compose.Facts{Cell: c.Cell.Name, Role: role, Node: c.Node.ID, NATS: "nats://" + c.Master.Listen,
				HTTP: "http://127.0.0.1:8222", Dirs: []string{c.Master.Dir}}, done: make(chan struct{}), err: h.broken}
			if h.broken != nil {
				time.AfterFunc(time.Second, func() { close(s.done) })
			}
			h.server = s
			return s, nil
		}
	}
	return World{
		Reach: func(_ context.Context, _ *config.Config, _ *slog.Logger, stale func(model.Mark)) (Cell, func(), error) {
			h.reached++
			if stale != nil { // as of two answers, the older of which counts
				stale(model.Mark{Master: "a", Epoch: 3, Seq: 1234})
				stale(model.Mark{Master: "b", Epoch: 3, Seq: 1230, Lag: 4, Age: 1530 * time.Millisecond})
			}
			return h.cell, func() {}, nil
		},
		Embed: func(context.Context, *config.Config, *slog.Logger, string) (Embedded, error) {
			h.opened++
			if h.cell.done == nil {
				h.cell.done = make(chan struct{}) // inside the bubble of a test, if it has one
			}
			return h.cell, nil
		},
		Dev: open("dev"), Master: open("master"), Node: open("node"),
	}
}

// fakeServer is a server that does nothing until it is closed.
type fakeServer struct {
	facts  compose.Facts
	done   chan struct{}
	err    error
	closed bool
}

func (s *fakeServer) Facts() compose.Facts        { return s.facts }
func (s *fakeServer) Done() <-chan struct{}       { return s.done }
func (s *fakeServer) Err() error                  { return s.err }
func (s *fakeServer) Close(context.Context) error { s.closed = true; return nil }

// transcript runs command lines and holds all that they write against a golden file.
func (h *harness) transcript(name string, lines ...string) {
	h.t.Helper()
	var got strings.Builder
	for _, line := range lines {
		code, stdout, stderr := h.run(strings.Fields(line)...)
		fmt.Fprintf(&got, "$ troupe %s\n%s", line, stdout)
		if stderr != "" {
			fmt.Fprintf(&got, "--- stderr\n%s", stderr)
		}
		fmt.Fprintf(&got, "--- exit %d\n\n", code)
	}
	golden(h.t, name, strings.NewReplacer(h.home, "$HOME", runtime.Version(), "$GO", runtime.GOOS, "$OS", runtime.GOARCH, "$ARCH").Replace(got.String()))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (go test ./tools/troupe/cmd -update writes it again):\n--- want\n%s--- got\n%s", path, want, got)
	}
}

func (h *harness) file(name, content string) string {
	h.t.Helper()
	path := filepath.Join(h.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}
