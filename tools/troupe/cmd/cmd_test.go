package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const goodJob = "name: hi\nstages:\n  - name: one\n    command: [echo, hi]\n"

const badJob = `name: hi
stages:
  - name: one
    comand: [echo, hi]
    resources:
      cpu: 2x
`

func job(queue, name, phase string) *v1.JobStatus {
	s := &v1.JobStatus{Queue: queue, Name: name, Uid: 7, Kind: "batch", Band: "batch", Phase: phase, SubmittedUnixMs: moment.UnixMilli(),
		Counts: &v1.Counts{Wanted: 2, Done: 1, Running: 1, Slots: 1}, Stages: []*v1.StageStatus{
			{Name: "count", Phase: "running", Counts: &v1.Counts{Wanted: 2, Done: 1, Running: 1, Slots: 1}, ResultBytes: 9}}}
	if terminal(phase) {
		s.EndedUnixMs = moment.UnixMilli() + 2500
		s.Counts = &v1.Counts{Wanted: 2, Done: 2}
		s.Stages[0].Counts, s.Stages[0].Phase = s.Counts, phase
	}
	return s
}

// full is a harness whose cell has something of everything.
func full(t *testing.T) *harness {
	h := newHarness(t)
	for _, s := range []*v1.JobStatus{job("default", "nightly", "running"), job("default", "old", "succeeded"), job("analytics", "数据", "failed")} {
		h.cell.jobs[s.GetQueue()+"/"+s.GetName()] = s
	}
	h.cell.queues["default"] = &v1.QueueSpec{Name: "default"}
	h.cell.queues["analytics"] = &v1.QueueSpec{Name: "analytics", MaxSlots: 4, Description: "数据 \x1b[31mred"}
	h.cell.nodes = []*v1.NodeStatus{
		{Info: &v1.NodeInfo{Id: "node-a", CpuMilli: 2000, MemoryBytes: 1 << 30}, Liveness: "fresh", Slots: 1, Running: 1},
		{Info: &v1.NodeInfo{Id: "node-b", CpuMilli: 2000, MemoryBytes: 1 << 30}, Liveness: "suspect"},
	}
	h.cell.result["nightly/count"] = []*v1.InstanceResult{{Index: 0, Data: []byte("one\n")}, {Index: 1, Data: []byte{0xff, 0}}, {Index: 5, Data: []byte("six")}}
	h.cell.logs["nightly/count/0"] = []*v1.LogChunk{{Stream: "stdout", Data: []byte("a\nb\x1b[2J")}, {Stream: "stderr", Data: []byte("oops\n"), Skipped: 2048}, {Stream: "stdout", Data: []byte("c\n")}}
	h.cell.events = []*v1.JobEvent{
		{Queue: "default", Job: "nightly", Kind: "progressed", Stage: "count", Done: 1, TimeUnixMs: moment.UnixMilli()},
		{Queue: "default", Job: "nightly", Kind: "ended", Phase: "succeeded", TimeUnixMs: moment.UnixMilli() + 1000},
	}
	return h
}

func TestX6_QuestionsToACell(t *testing.T) {
	full(t).transcript("questions",
		"job list", "job list --all --ended --json", "job list -q analytics --ended", "job list -a -q x", "job list -l bad",
		"job list --ended --limit 1", "job status nightly", "job status nothing", "job status nothing --json",
		"job explain nightly/count", "job explain nightly/count/x", "job stop old", "job stop nightly --reason enough --wait",
		"queue list", "queue set analytics --max-jobs 3", "queue set fresh --max-jobs=3 --json", "queue status none", "queue remove fresh",
		"node list", "node status node-a", "node drain node-b --reason kernel", "node undrain node-b --json",
		"cell status", "cell tree", "cell tree --json", "version", "version --json",
	)
}

func TestF25_F26_QuotaAndItsLedger(t *testing.T) {
	h := full(t)
	h.cell.loans = []*v1.Loan{
		{Lender: "web", Borrower: "ml", Resource: "cpu", Amount: 1500, SinceUnixMs: moment.UnixMilli() - 3000},
		{Lender: "a", Borrower: "b", Resource: "gpu", Amount: 500, SinceUnixMs: moment.UnixMilli() - 9000, ReturnedUnixMs: moment.UnixMilli() - 2000},
	}
	h.transcript("quota",
		"queue set ml --quota cpu=8,memory=16Gi,gpu=4000 --max cpu=32,net=1G --order shortest --backfill none --score fragmentation,packages=50",
		"queue set ml --max-jobs 7", "queue set ml --quota none --max= --score none --order= --json", "queue set ml --quota cpu", "queue set ml --quota cores=8x",
		"queue set ml --quota memry=1Gi", "queue set ml --score a,b", "queue set ml --score mix=much",
		"queue ledger", "queue ledger ml --json", "queue ledger none", "queue ledger --limit 0", "queue ledger a b",
	)
}

func TestB41_TaintsAndMaintenance(t *testing.T) {
	h := full(t)
	h.cell.nodes[0].Info.Taints = []*v1.Taint{{Key: "own"}}
	h.cell.nodes[0].Taints = h.cell.nodes[0].GetInfo().GetTaints()
	h.transcript("taints",
		"node taint node-a gpu=yes disk=slow:avoid", "node taint node-a gpu=yes:evict", "node untaint node-a own", "node untaint node-a gpu=yes",
		"node list", "node untaint node-a --all", "node untaint node-a", "node untaint node-a x --all", "node taint node-a", "node taint node-a gpu:kill",
		"node lost node-a --reason burnt", "node lost --all-silent", "node lost", "node lost none", "node lost a --all-silent",
		"node taint none gpu", "node maintain node-b --reason disks", "node maintain node-b --undo", "node maintain node-b --evict=false --force",
		"node drain node-b --evict --maintenance --reason kernel", "node undrain node-b",
	)
	var drains []string
	for _, m := range h.cell.asked {
		if d, ok := m.(*v1.DrainRequest); ok {
			drains = append(drains, fmt.Sprint(d.GetDrained(), d.GetMaintenance(), d.GetEvict(), d.GetForce()))
		}
	}
	want := "true true true false; false false false false; true true false true; true true true false; false false false false"
	if got := strings.Join(drains, "; "); got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestB31_MastersAreListedAndAskedToResign(t *testing.T) {
	h := full(t)
	h.transcript("masters", "master list", "master resign --to b --reason kernel", "master resign --json", "master resign b", "master promote")
	for _, m := range h.cell.asked {
		if r, ok := m.(*v1.ResignRequest); ok && r.GetEpoch() != 2 {
			t.Errorf("asked %v: the leader that is meant is that of epoch 2", r)
		}
	}
}

func TestX4_ExplainUnderstandsWhatIsNamed(t *testing.T) {
	h := full(t)
	for line, want := range map[string]string{
		"nightly":               "default nightly",
		"nightly/3":             "default nightly #3",
		"nightly/count":         "default nightly count",
		"nightly/count:3":       "default nightly count#3",
		"nightly/count/3":       "default nightly count#3",
		"default/nightly":       "default nightly",
		"default/nightly/3":     "default nightly #3",
		"default/old/count/0":   "default old count#0",
		"analytics/数据":          "analytics 数据",
		"analytics/数据/count:12": "analytics 数据 count#12",
		"数据 -q analytics":       "analytics 数据",
	} {
		h.cell.asked = nil
		code, _, stderr := h.run(append([]string{"job", "explain"}, strings.Fields(line)...)...)
		last, _ := h.cell.asked[len(h.cell.asked)-1].(*v1.ExplainRequest)
		got := strings.TrimSpace(fmt.Sprintf("%s %s %s", last.GetQueue(), last.GetName(), last.GetStage()))
		if last.GetHasIndex() {
			if last.GetStage() == "" {
				got += " "
			}
			got += fmt.Sprintf("#%d", last.GetIndex())
		}
		if code != 0 || got != want {
			t.Errorf("explain %s asks for %q (exit %d %s), want %q", line, got, code, stderr, want)
		}
	}
	for line, says := range map[string]string{
		"nothing": "queue default has no job nothing", "nothing/at/1": "queue default has no job nothing", "a/b/c/d/e": "right would be NAME",
		"nightly/": "right would be", "/nightly": "right would be", "default/nightly -q analytics": "queue analytics has no job default",
	} {
		if code, _, stderr := h.run(append([]string{"job", "explain"}, strings.Fields(line)...)...); code == 0 || !strings.Contains(stderr, says) {
			t.Errorf("explain %s: exit %d, %s; want %q", line, code, stderr, says)
		}
	}
}

func TestResultsAndLogs(t *testing.T) {
	full(t).transcript("results_logs",
		"job results nightly", "job results nightly/count/0", "job results nightly/count --json", "job results nightly --limit 2",
		"job results nightly/none", "job results nightly/count/3",
		"job logs nightly/count/0", "job logs nightly", "job logs nightly/count -f", "job logs nightly/count/1", "job logs nightly/count/0 --json",
		"job logs nightly/count/0 --tail -1", "job logs old",
	)
}

func TestLogsAndResultsAreHarmlessOnATerminal(t *testing.T) {
	h := full(t)
	h.cell.result["nightly/count"][0].Data = []byte("\x1b[31mred")
	for _, line := range []string{"job logs nightly/count/0", "job logs nightly", "job results nightly/count/0", "queue list"} {
		_, stdout, stderr := h.runIn(context.Background(), true, strings.Fields(line)...)
		if strings.ContainsRune(stdout+stderr, 0x1b) || !strings.Contains(stdout, `\x1b[`) {
			t.Errorf("%s: an escape reaches the terminal: %q", line, stdout)
		}
	}
	if _, stdout, _ := h.run("job", "logs", "nightly/count/0"); !strings.Contains(stdout, "\x1b[2J") {
		t.Errorf("a file gets other bytes than the task wrote: %q", stdout)
	}
}

func TestWatch(t *testing.T) {
	h := full(t)
	h.transcript("watch", "job watch nightly", "job watch nightly --json", "job watch old", "job watch nothing")
	h.cell.events = []*v1.JobEvent{{Queue: "default", Job: "nightly", Kind: api.EventMissed}}
	h.cell.next["default/nightly"] = []*v1.JobStatus{job("default", "nightly", "running"), job("default", "nightly", "succeeded")}
	if code, stdout, stderr := h.run("job", "watch", "nightly"); code != 0 || !strings.Contains(stdout, "ended succeeded") {
		t.Errorf("a watch that missed the end: exit %d: %s%s", code, stdout, stderr)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errInterrupted)
	if code, _, stderr := h.runIn(ctx, false, "job", "watch"); code != exitInterrupted {
		t.Errorf("an interrupted watch exits with %d: %s", code, stderr)
	}
}

func TestB9_JobFilesAndTheirMistakes(t *testing.T) {
	h := newHarness(t)
	good, bad := h.file("good.yaml", goodJob), h.file("bad.yaml", badJob)
	wrong := h.file("wrong.toml", "name = \"hi\"\n[[stages]]\nname = \"one\"\ncommand = [\"true\"]\n[stages.resources]\ncpu = \"2x\"\n")
	h.transcript("files", "job validate "+good, "job validate "+good+" -q other --json", "job validate "+bad, "job validate "+wrong,
		"job validate "+wrong+" --json", "job validate "+h.home+"/none.yaml", "job submit "+good, "job submit "+good+" --json", "job submit "+wrong)
	h.in = goodJob
	if code, stdout, stderr := h.run("job", "submit", "-", "-q", "other"); code != 0 || !strings.Contains(stdout, "submitted other/hi") {
		t.Errorf("submit from the standard input: %d %s%s", code, stdout, stderr)
	}
}

func TestSubmitTriesAgainWithTheSameKey(t *testing.T) {
	h := newHarness(t)
	h.cell.fail = []error{model.Busy(time.Millisecond, "too much waits"), model.Unavailable("no master"), model.Deadline("too late")}
	if code, _, stderr := h.run("job", "submit", h.file("good.yaml", goodJob)); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	keys := map[string]bool{}
	for _, m := range h.cell.asked {
		keys[m.(*v1.SubmitRequest).GetKey()] = true
	}
	if len(h.cell.asked) != 4 || len(keys) != 1 || keys[""] {
		t.Errorf("%d submits with the keys %v, want 4 with one key", len(h.cell.asked), keys)
	}
	h.cell.fail = []error{model.Conflict("a job of that name lives")}
	if code, _, stderr := h.run("job", "submit", h.file("good.yaml", goodJob)); code != exitFailed || !strings.Contains(stderr, "lives") {
		t.Errorf("a refusal for good: exit %d: %s", code, stderr)
	}
	h.cell.fail = nil
	for range 100 {
		h.cell.fail = append(h.cell.fail, model.Busy(time.Millisecond, "too much waits"))
	}
	if code, _, stderr := h.run("job", "submit", h.file("good.yaml", goodJob), "--timeout", "1ms"); code != exitFailed || !strings.Contains(stderr, "too much waits") {
		t.Errorf("a cell that stays busy: exit %d: %s", code, stderr)
	}
}

func TestUsageMistakes(t *testing.T) {
	full(t).transcript("usage", "jbo list", "job lst", "job status", "job status a b", "job list --wat", "node lst", "job stop", "run", "context use",
		"job list --timeout soon", "--nats http://x job list", "config show --config /none/such.yaml", "context set x")
}

// TestEveryCommandExplainsItself holds all commands to what a person needs: a sentence, an example, checked arguments.
func TestEveryCommandExplainsItself(t *testing.T) {
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" || c.RunE == nil && !c.HasSubCommands() {
			t.Errorf("%s: Short %q, Example %q", c.CommandPath(), c.Short, c.Example)
		}
		if c.Runnable() && c.Args == nil {
			t.Errorf("%s takes any arguments in silence", c.CommandPath())
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.Contains(line, "troupe") {
				t.Errorf("%s: the example %q is no command line", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(newRootCommand(&App{}))
}

func TestCompletionOfNames(t *testing.T) {
	h := full(t)
	h.cell.queues["analytics"].Description = "tab\there"
	for line, want := range map[string]string{
		"job status ":         "nightly\trunning",
		"job logs ni":         "nightly\trunning",
		"job status -q ":      "analytics\ttab\\there",
		"node drain node-":    "node-a\tfresh",
		"queue remove def":    "default",
		"job status nightly ": "",
	} {
		args := append([]string{"__complete"}, strings.Split(line, " ")...)
		code, stdout, stderr := h.run(args...)
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("completing %q gives %d %q %q, want %q", line, code, stdout, stderr, want)
		}
	}
}

func TestContexts(t *testing.T) {
	h := newHarness(t)
	h.file(".config/troupe/config.yaml", "# mine\nlog:\n  level: warn # quiet\n")
	h.transcript("contexts", "context list", "context set prod --url nats://user:secret@nats.example:4222 --cell main", "context use prod",
		"context list", "context list --json", "context set prod --cell Wrong!", "context set bad --url nothing", "context use nowhere",
		"context set other --url nats://127.0.0.1:4333 --use", "context list", "context use --none", "context list")
	path := filepath.Join(h.home, ".config", "troupe", "config.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# mine", "level: warn # quiet", "secret@nats.example"} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q is lost in the file:\n%s", want, data)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file may be read by others: %v %v", info.Mode(), err)
	}
}

func TestConfigShow(t *testing.T) {
	h := newHarness(t)
	h.file(".config/troupe/config.yaml", "pyroscope:\n  token: abc\n")
	code, stdout, _ := h.run("config", "show", "--json", "--nats", "nats://127.0.0.1:4333")
	var shown struct {
		Files   []string
		Entries []struct{ Key, Value, Source string }
	}
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || code != 0 || len(shown.Files) != 1 {
		t.Fatalf("%d %v\n%s", code, err, stdout)
	}
	got := map[string]string{}
	for _, e := range shown.Entries {
		got[e.Key] = e.Value + " from " + e.Source
	}
	if got["nats.url"] != "nats://127.0.0.1:4333 from --nats" || strings.Contains(stdout, "abc") {
		t.Errorf("nats.url is %q, and the token must be hidden in\n%s", got["nats.url"], stdout)
	}
	if code, stdout, _ := h.run("config", "show"); code != 0 || !strings.Contains(stdout, "pyroscope.token") {
		t.Errorf("%d %s", code, stdout)
	}
}
