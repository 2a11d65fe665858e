package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/natsd"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// troop is a cell of three masters and one node, as processes that can be killed and started again.
type troop struct {
	*cluster
	masters map[string]*running
	args    map[string][]string
}

func newTroop(t *testing.T, nats string, args map[string][]string) *troop {
	tr := &troop{cluster: &cluster{place: newPlace(t), nats: nats}, masters: map[string]*running{}, args: args}
	var up sync.WaitGroup
	for id := range args {
		tr.launch(id)
	}
	for _, m := range tr.masters {
		up.Go(func() { _, _ = m.stdout.ReadString('\n') }) // its facts, when it follows
	}
	up.Wait()
	tr.until("a master leads", func() bool { return tr.leader() != "" })
	tr.startNode()
	return tr
}

func (tr *troop) launch(id string) {
	tr.masters[id] = tr.start(append([]string{"master", "--json", "--id", id, "--dir", tr.path(id)}, tr.args[id]...)...)
}

// kill ends a master at once, as a loss of power would.
func (tr *troop) kill(id string) { tr.masters[id].end(syscall.SIGKILL) }

// leader is the id of the master that answers.
func (tr *troop) leader() string {
	code, out, _ := tr.run("cell", "status", "--json", "--timeout", "2s", "--nats", tr.nats)
	var s struct{ Master string }
	if code != 0 || json.Unmarshal([]byte(out), &s) != nil {
		return ""
	}
	return s.Master
}

// followers waits until n other masters follow the leader without lag.
func (tr *troop) followers(n int) {
	tr.t.Helper()
	tr.until("the others follow", func() bool {
		code, out, _ := tr.run("master", "list", "--json", "--timeout", "2s", "--nats", tr.nats)
		var list struct {
			Masters []struct {
				Role    string
				HeardMs string `json:"heard_ms"`
			}
		}
		if code != 0 || json.Unmarshal([]byte(out), &list) != nil {
			return false
		}
		follow := 0
		for _, m := range list.Masters {
			if m.Role == "follower" && len(m.HeardMs) < 5 {
				follow++
			}
		}
		return follow == n
	})
}

// stream submits one small job after the other, each with a key of its own, as long as the test wants it.
type stream struct {
	tr     *troop
	cell   *client.Client
	stop   chan struct{}
	done   chan struct{}
	acked  atomic.Int64
	newest atomic.Pointer[time.Time]
	failed error
}

func (tr *troop) stream() *stream {
	tr.t.Helper()
	cell, err := client.Dial(tr.nats, "local", slog.New(slog.DiscardHandler))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(cell.Close)
	s := &stream{tr: tr, cell: cell, stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *stream) run() {
	defer close(s.done)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		job := &v1.JobSpec{Name: fmt.Sprintf("small-%d", i), Stages: []*v1.StageSpec{{Name: "s", Command: []string{"true"}, Resources: &v1.Resources{Cpu: "10m", Memory: "1Mi"}}}}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		r, err := s.cell.Submit(ctx, &v1.SubmitRequest{Job: job, Key: job.GetName()})
		cancel()
		if err != nil || !r.GetCreated() && r.GetUid() == 0 {
			s.failed = fmt.Errorf("submit of %s: %v, %w", job.GetName(), r, err)
			return
		}
		now := time.Now()
		s.newest.Store(&now)
		s.acked.Add(1)
	}
}

// after waits until a submit is acknowledged that began after at, and says how long that took.
func (s *stream) after(at time.Time) time.Duration {
	s.tr.t.Helper()
	before := s.acked.Load()
	s.tr.until("submits are acknowledged again", func() bool {
		select {
		case <-s.done:
			s.tr.t.Fatal(s.failed)
		default:
		}
		return s.acked.Load() > before+1
	})
	return s.newest.Load().Sub(at)
}

// end stops the stream; everything it was told is there, once.
func (s *stream) end() {
	s.tr.t.Helper()
	close(s.stop)
	<-s.done
	if s.failed != nil {
		s.tr.t.Fatal(s.failed)
	}
	n := int(s.acked.Load())
	s.tr.until("all jobs end", func() bool {
		code, out, _ := s.tr.run("job", "list", "--json", "--limit", "5000", "--nats", s.tr.nats)
		return code == 0 && !strings.Contains(out, "small-")
	})
	var list struct {
		Jobs []struct {
			Name, UID, Phase string
			Counts           struct{ Done string }
		}
	}
	if err := json.Unmarshal([]byte(s.tr.ask("job", "list", "--ended", "--json", "--limit", "5000")), &list); err != nil {
		s.tr.t.Fatal(err)
	}
	times := map[string]int{}
	for _, j := range list.Jobs {
		if times[j.Name]++; strings.HasPrefix(j.Name, "small-") && (j.Phase != "succeeded" || j.Counts.Done != "1") {
			s.tr.t.Errorf("job %+v", j)
		}
	}
	for i := range n {
		if name := fmt.Sprintf("small-%d", i); times[name] != 1 {
			s.tr.t.Errorf("job %s, which was acknowledged, is there %d times", name, times[name])
		}
	}
	s.tr.t.Logf("%d submits were acknowledged", n)
}

// long submits a job of attempts that run as long as they are let, and waits until they do.
func (tr *troop) long(instances int) (release func()) {
	tr.t.Helper()
	script := fmt.Sprintf(`echo "$TROUPE_INDEX" >> %s; while [ ! -e %s ]; do sleep 0.1; done; echo done > "$TROUPE_RESULT"`, tr.path("began"), tr.path("go"))
	tr.ask("job", "submit", tr.write("long.yaml", oneStage("long", instances, script)), "--key", "long")
	tr.until("attempts run", func() bool { n, _ := tr.began("began"); return n == instances })
	return func() {
		tr.t.Helper()
		tr.write("go", "")
		tr.until("the long job ends", func() bool { phase, _ := tr.status("long"); return phase == "succeeded" })
		if n, _ := tr.began("began"); n != instances {
			tr.t.Errorf("%d attempts began for %d instances: some have restarted", n, instances)
		}
	}
}

func TestB30_B31_B32_B42_S6_F30_AKilledLeaderIsMissedByNobody(t *testing.T) {
	server, err := natsd.Start(natsd.Options{Dir: t.TempDir(), Port: natsd.RandomPort})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	args := map[string][]string{}
	for _, id := range []string{"a", "b", "c"} {
		args[id] = []string{"--nats", server.ClientURL(), "--store", "jetstream"}
	}
	tr := newTroop(t, server.ClientURL(), args)
	release := tr.long(4)
	s := tr.stream()
	for range 3 {
		tr.followers(2)
		dead := tr.leader()
		at := time.Now()
		tr.kill(dead)
		t.Logf("leader %s was killed; a submit was acknowledged after %v", dead, s.after(at).Round(time.Millisecond))
		tr.launch(dead)
	}
	// A leader that resigns, and one that is asked to end, hand over.
	tr.followers(2)
	at := time.Now()
	tr.ask("master", "resign")
	t.Logf("the leader has resigned; a submit was acknowledged after %v", s.after(at).Round(time.Millisecond))
	tr.followers(2)
	at = time.Now()
	leader := tr.leader()
	if err := tr.masters[leader].Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	t.Logf("the leader was asked to end; a submit was acknowledged after %v", s.after(at).Round(time.Millisecond))
	if code := tr.masters[leader].wait(); code != 0 {
		t.Errorf("after SIGTERM: exit %d", code)
	}
	// One that sleeps is replaced, and changes nothing when it wakes.
	tr.launch(leader)
	tr.followers(2)
	sleeper := tr.leader()
	at = time.Now()
	if err := tr.masters[sleeper].Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Logf("leader %s sleeps; a submit was acknowledged after %v", sleeper, s.after(at).Round(time.Millisecond))
	if err := tr.masters[sleeper].Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tr.followers(2)
	if now := tr.leader(); now == sleeper {
		t.Errorf("master %s leads again after its sleep", now)
	}
	s.end()
	release()
}

func TestB30_B47_ThreeMastersOverTheirOwnServersStandTheLossOfOne(t *testing.T) {
	var peers, clients []string
	for range 3 {
		peers, clients = append(peers, freeAddress(t)), append(clients, freeAddress(t))
	}
	args := map[string][]string{}
	for i, id := range []string{"a", "b", "c"} {
		args[id] = []string{"--peers", strings.Join(peers, ","), "--cluster-listen", peers[i], "--nats-listen", clients[i]}
	}
	tr := newTroop(t, "nats://"+strings.Join(clients, ",nats://"), args)
	release := tr.long(2)
	s := tr.stream()
	tr.followers(2)
	dead := tr.leader()
	at := time.Now()
	tr.kill(dead)
	t.Logf("leader %s was killed with its server; a submit was acknowledged after %v", dead, s.after(at).Round(time.Millisecond))
	tr.launch(dead)
	tr.followers(2)
	at = time.Now()
	if code := tr.masters[tr.leader()].end(syscall.SIGTERM); code != 0 {
		t.Errorf("after SIGTERM: exit %d", code)
	}
	t.Logf("the leader was asked to end; a submit was acknowledged after %v", s.after(at).Round(time.Millisecond))
	s.end()
	release()
}

// freeAddress is where nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
