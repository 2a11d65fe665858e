package compose

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/fabric"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

var discard = slog.New(slog.DiscardHandler)

// observed is a cell that tells of itself, or fails.
type observed struct{ err error }

func (o *observed) CellStatus(context.Context, *v1.CellStatusRequest) (*v1.CellStatus, error) {
	return &v1.CellStatus{State: "read_only", ProcessBytes: 70, ProcessBytesMax: 100, JournalWaitingBytes: 3, Epoch: 2, Seq: 100, Nodes: 3, NodesFresh: 2, CpuMilli: 4000, CpuMilliHeld: 500, JobsLive: 7, DeadLetters: 1, Admission: "open",
		Packing: &v1.Packing{Slots: 12, AllocatedMilli: map[string]int64{"cpu": 125, "gpu": 1000}, Evictions: map[string]uint64{"priority": 3}}}, o.err
}

func (o *observed) CellTree(context.Context, *v1.CellTreeRequest) (*v1.CellTree, error) {
	return &v1.CellTree{Root: &v1.TreeNode{Kind: "supervisor", Children: []*v1.TreeNode{
		{Kind: "job", Restarts: 1, Mailbox: 5, MailboxControl: 1, MailboxBulk: 2, MailboxMax: 10, Handled: 100, Refused: 4},
		{Kind: "job", Restarts: 2, Mailbox: 1, MailboxMax: 10, Handled: 11},
	}}}, o.err
}

func TestCellMetrics(t *testing.T) {
	scrape := func(cell Observed) string {
		w := openWeb(t, WebConfig{Listen: "127.0.0.1:0", Log: discard, Metrics: []prometheus.Collector{NewCellMetrics("main", cell, discard)}})
		code, body := get(t, w.URL()+"/metrics")
		if code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
		var ours []string
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "troupe_") {
				ours = append(ours, strings.TrimSpace(line))
			}
		}
		return strings.Join(ours, "\n")
	}
	got := scrape(&observed{})
	for _, want := range []string{
		`troupe_actor_mailbox_fullest_ratio{cell="main",kind="job"} 0.5`, `troupe_actor_mailbox_messages{cell="main",kind="job",lane="normal"} 3`,
		`troupe_actor_mailbox_messages{cell="main",kind="job",lane="control"} 1`, `troupe_actor_mailbox_messages{cell="main",kind="job",lane="bulk"} 2`,
		`troupe_actor_refused_messages{cell="main",kind="job"} 4`,
		`troupe_actor_restarts{cell="main",kind="job"} 3`, `troupe_actors{cell="main",kind="supervisor"} 1`,
		`troupe_state{cell="main",state="read_only"} 1`, `troupe_state{cell="main",state="normal"} 0`, `troupe_journal_waiting_bytes{cell="main"} 3`,
		`troupe_master_memory_bytes{cell="main"} 70`, `troupe_master_memory_limit_bytes{cell="main"} 100`,
		`troupe_allocated_ratio{cell="main",resource="cpu"} 0.125`, `troupe_evictions_total{cell="main",rule="priority"} 3`, `troupe_slots{cell="main"} 12`,
		`troupe_admission_open{cell="main"} 1`, `troupe_cpu_cores_held{cell="main"} 0.5`, `troupe_up{cell="main"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if got, want := scrape(&observed{errors.New("no master")}), `troupe_up{cell="main"} 0`; got != want {
		t.Errorf("a cell that does not answer shows\n%s\nwant %s", got, want)
	}
}

func TestWeb(t *testing.T) {
	var liveErr, readyErr error
	config := WebConfig{Listen: "127.0.0.1:0", Log: discard,
		Live: func() error { return liveErr }, Ready: func(context.Context) error { return readyErr },
		Metrics: []prometheus.Collector{NewCellMetrics("main", &observed{}, discard)}}
	w := openWeb(t, config)
	expect := func(path string, code int, body string) {
		t.Helper()
		gotCode, got := get(t, w.URL()+path)
		if gotCode != code || !strings.Contains(got, body) {
			t.Errorf("GET %s = %d %.200q, want %d %q", path, gotCode, got, code, body)
		}
	}
	expect("/healthz", 200, "ok")
	expect("/readyz", 200, "ok")
	expect("/metrics", 200, `troupe_jobs_live{cell="main"} 7`)
	expect("/metrics", 200, "go_goroutines")
	expect("/debug/pprof/", 404, "")
	readyErr = errors.New("no epoch yet")
	expect("/readyz", 503, "no epoch yet")
	expect("/healthz", 200, "ok")
	liveErr = errors.New("journal lost")
	expect("/healthz", 503, "journal lost")
	expect("/readyz", 503, "journal lost")

	config.Pprof = true
	w = openWeb(t, config)
	expect("/debug/pprof/", 200, "goroutine")

	config.Listen = strings.TrimPrefix(w.URL(), "http://")
	if _, err := ServeWeb(config); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("a port in use gives %v, want an error that names http.listen", err)
	}
}

func openWeb(t *testing.T, c WebConfig) *Web {
	t.Helper()
	w, err := ServeWeb(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestF34_LanesAndRequestsAreMetrics(t *testing.T) {
	labels := prometheus.Labels{"cell": "main"}
	lanes := func() []fabric.Lane {
		return []fabric.Lane{{Name: "beat", Waiting: 3, Bytes: 70, WaitingMax: 10, BytesMax: 100, Passed: 5, Dropped: 2}}
	}
	counts := func() map[string]api.Counts {
		return map[string]api.Counts{"job.submit": {Requests: 9, InFlight: 4, Busy: 1}}
	}
	none := newLaneMetrics(prometheus.Labels{"cell": "other"}, func() []fabric.Lane { return nil })
	w := openWeb(t, WebConfig{Listen: "127.0.0.1:0", Log: discard, Metrics: []prometheus.Collector{
		newLaneMetrics(labels, lanes), newAPIMetrics(labels, counts), none,
	}})
	_, body := get(t, w.URL()+"/metrics")
	for _, want := range []string{
		`troupe_lane_waiting_messages{cell="main",lane="beat"} 3`, `troupe_lane_waiting_bytes{cell="main",lane="beat"} 70`,
		`troupe_lane_limit{cell="main",lane="beat",unit="messages"} 10`, `troupe_lane_limit{cell="main",lane="beat",unit="bytes"} 100`,
		`troupe_lane_passed_total{cell="main",lane="beat"} 5`, `troupe_lane_dropped_total{cell="main",lane="beat"} 2`,
		`troupe_api_in_flight{cell="main",endpoint="job.submit"} 4`, `troupe_api_requests_total{cell="main",endpoint="job.submit",fate="busy"} 1`,
		`troupe_api_requests_total{cell="main",endpoint="job.submit",fate="taken"} 9`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing in\n%s", want, body)
		}
	}
}
