package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// answerWithin bounds the wait for one NATS message; only a broken cell reaches it.
const answerWithin = 30 * time.Second

// TestX6_AnyNATSClientDrivesTheCell uses nothing of this project but the program: a NATS connection and JSON.
func TestX6_AnyNATSClientDrivesTheCell(t *testing.T) {
	p := newPlace(t)
	dev, facts := p.server("dev", "--dir", p.path("cell"), "--nats-listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	nc, err := nats.Connect(facts.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ask := func(subject, body string) (map[string]any, nats.Header) {
		t.Helper()
		m, err := nc.Request(subject, []byte(body), answerWithin)
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		answer := map[string]any{}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			t.Fatalf("%s: %v: %s", subject, err, m.Data)
		}
		return answer, m.Header
	}
	info, _ := ask("$SRV.INFO.troupe", "")
	if endpoints, _ := info["endpoints"].([]any); len(endpoints) < 15 {
		t.Errorf("the service shows %d endpoints", len(endpoints))
	}
	events, err := nc.SubscribeSync("troupe.v1.local.default.event.ended.hi")
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	reply, _ := ask("troupe.v1.local.default.job.submit",
		`{"job":{"name":"hi","stages":[{"name":"one","command":["sh","-c","echo out; echo 42 > \"$TROUPE_RESULT\""]}]},"key":"k1"}`)
	if reply["created"] != true {
		t.Fatalf("submit answers %v", reply)
	}
	end, err := events.NextMsg(answerWithin)
	if err != nil || !strings.Contains(string(end.Data), "succeeded") {
		t.Fatalf("the end is told as %v, %v", end, err)
	}
	if status, _ := ask("troupe.v1.local.default.job.status.hi", ""); status["phase"] != "succeeded" {
		t.Errorf("status answers %v", status)
	}
	wrong, header := ask("troupe.v1.local.default.job.submit", `{"jbo":1}`)
	if header.Get("Nats-Service-Error-Code") != "400" || wrong["err_code"] != "invalid" {
		t.Errorf("a malformed request is answered by %v, %v", wrong, header)
	}
	// The same cell by the program's own commands.
	if out := p.must("job", "results", "hi/one/0", "--nats", facts.NATS); out != "42\n" {
		t.Errorf("the result is %q", out)
	}
	if out := p.must("job", "logs", "hi/one/0", "--nats", facts.NATS); out != "out\n" {
		t.Errorf("the output is %q", out)
	}
	if out := p.must("cell", "tree", "--nats", facts.NATS); !strings.Contains(out, "journal") {
		t.Errorf("the tree is\n%s", out)
	}
	for path, want := range map[string]string{"/metrics": "troupe_jobs_ended{cell=\"local\"} 1", "/healthz": "ok", "/readyz": "ok"} {
		if body := fetch(t, facts.HTTP+path); !strings.Contains(body, want) {
			t.Errorf("%s does not show %s", path, want)
		}
	}
	if code := dev.end(syscall.SIGTERM); code != 0 {
		t.Errorf("after SIGTERM: exit %d", code)
	}
}

func fetch(t *testing.T, url string) string {
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
	return string(body)
}

// TestB46_WorkOutlivesMasterAndAgent kills the agent, then the master, under a job whose attempts wait for a word; both
// are started again, and every attempt is the first one.
func TestB46_WorkOutlivesMasterAndAgent(t *testing.T) {
	p := newPlace(t)
	const listen = "127.0.0.1:0"
	master, facts := p.server("master", "--dir", p.path("master"), "--nats-listen", listen)
	at := strings.TrimPrefix(facts.NATS, "nats://")
	agent := []string{"node", "--nats", facts.NATS, "--dir", p.path("node"), "--id", "one", "--cpu", "2"}
	node, _ := p.server(agent...)

	started, pid := p.fifo("started")
	script := "echo $$ > " + started + "; while [ ! -e " + p.path("go") + " ]; do sleep 0.1; done; echo attempt $TROUPE_ATTEMPT > \"$TROUPE_RESULT\""
	p.must("job", "submit", p.write("job.yaml", oneStage("long", 3, script)), "--nats", facts.NATS, "--key", "k")
	pids := []string{pid(), pid(), pid()}

	node.end(syscall.SIGKILL)
	node, _ = p.server(agent...)
	master.end(syscall.SIGKILL)
	_, again := p.server("master", "--dir", p.path("master"), "--nats-listen", at)
	if again.NATS != facts.NATS {
		t.Fatalf("the master is at %s, it was at %s", again.NATS, facts.NATS)
	}
	for _, one := range pids {
		if !lives(t, one) {
			t.Errorf("attempt %s did not live on", one)
		}
	}
	// The key makes no second job; waiting for it ends when the attempts have got their word.
	waiting := p.start("job", "submit", p.path("job.yaml"), "--nats", facts.NATS, "--key", "k", "--wait", "--timeout", "60s", "--json")
	p.write("go", "")
	line, err := waiting.stdout.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	phase, r := report(t, line)
	if code := waiting.wait(); code != 0 || phase != "succeeded" || len(r.Results) != 3 {
		t.Fatalf("exit %d, %s: %s", code, phase, line)
	}
	for i, result := range r.Results {
		if result.Text != "attempt 1\n" || result.Index != uint64(i) {
			t.Errorf("result %d is %+v", i, result)
		}
	}
	var job struct {
		Counts struct {
			FailedAttempts string `json:"failed_attempts"`
		}
	}
	if err := json.Unmarshal(r.Job, &job); err != nil {
		t.Fatal(err)
	}
	if failed, err := strconv.Atoi(job.Counts.FailedAttempts); err != nil || failed != 0 {
		t.Errorf("%q failed attempts", job.Counts.FailedAttempts)
	}
	if code := node.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the node after SIGTERM: exit %d", code)
	}
}
