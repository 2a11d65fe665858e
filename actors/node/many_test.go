package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/poll"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// crowd is many agents of a few words: they say Hello when asked, and report; some are dead.
type crowd struct {
	b     *bench
	dead  map[string]bool
	delay time.Duration // of every Hello that was asked for
	// asked counts requests by node, under those that have not been answered, peak the most of them.
	asked       map[string]int
	under, peak int
	open        map[string]uint64 // opening of each session
	number      map[string]uint64
	beat        time.Duration
	told        []msg.Nodes // to the gateway
}

func name(i int) string { return fmt.Sprintf("n%03d", i) }

func newCrowd(b *bench) *crowd {
	c := &crowd{b: b, dead: map[string]bool{}, asked: map[string]int{}, open: map[string]uint64{}, number: map[string]uint64{}}
	b.fabric = c.hear
	b.env.Refs.Gateway = b.sys.Port("gateway-2", func(m any, _ kit.Ref) {
		if n, ok := m.(*msg.Nodes); ok {
			c.told = append(c.told, *n)
		}
	})
	return c
}

func (c *crowd) hear(m *v1.ToAgent) {
	id := m.GetNode()
	if c.dead[id] {
		if m.GetHelloRequest() {
			c.asked[id]++
		}
		return
	}
	switch {
	case m.GetHelloRequest():
		c.asked[id]++
		c.under++
		c.peak = max(c.peak, c.under)
		c.b.step.AfterFunc(c.delay, func() { c.under--; c.hello(id) })
	case m.GetWelcome() != nil:
		if c.open[id] == 0 {
			c.open[id] = m.GetOpening()
			c.beats(id, m.GetOpening())
		}
		c.beat = time.Duration(m.GetWelcome().GetHeartbeatMs()) * time.Millisecond
	}
}

func (c *crowd) hello(id string) {
	if c.number[id] == 0 || c.open[id] != 0 {
		c.number[id]++
		delete(c.open, id)
	}
	c.say(&v1.FromAgent{Node: id, Session: c.number[id], Hello: &v1.Hello{Session: c.number[id], Info: info(id, 10), BootId: id}})
}

func (c *crowd) say(m *v1.FromAgent) {
	if !c.dead[m.Node] {
		m.Epoch = c.b.env.Epoch
		c.b.sys.Tell(c.b.env.Refs.Nodes, &msg.FromAgent{Message: m})
	}
}

func (c *crowd) beats(id string, opening uint64) {
	c.b.step.AfterFunc(time.Second, func() {
		if c.open[id] == opening {
			c.say(&v1.FromAgent{Node: id, Session: c.number[id], Opening: opening})
			c.beats(id, opening)
		}
	})
}

// nodes are by liveness, and those that the master has lost.
func (c *crowd) nodes() map[string]int {
	c.b.answers = nil
	c.b.sys.TellFrom(c.b.asker, c.b.env.Refs.Nodes, &msg.ListNodes{Request: &v1.ListNodesRequest{Limit: 1000}})
	c.b.settle()
	n := map[string]int{}
	for _, s := range c.b.answers[0].(*v1.ListNodesReply).GetNodes() {
		n[s.GetLiveness()]++
	}
	return n
}

func (c *crowd) last() msg.Nodes {
	if len(c.told) == 0 {
		return msg.Nodes{}
	}
	return c.told[len(c.told)-1]
}

// known is a new master of so many nodes that the cell knows.
func known(t *testing.T, n int, change ...func(*msg.Limits)) (*bench, *crowd) {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, name(i))
	}
	b := newBenchOver(t, joinedLog(t, names...), 1, change...)
	b.sent = nil
	return b, newCrowd(b)
}

// living is a master of so many nodes that are all well.
func living(t *testing.T, n int, change ...func(*msg.Limits)) (*bench, *crowd) {
	t.Helper()
	b := newBench(t, change...)
	c := newCrowd(b)
	for i := range n {
		c.hello(name(i))
	}
	b.pass(5 * time.Second)
	if got := c.nodes(); got["fresh"] != n {
		t.Fatalf("%v", got)
	}
	return b, c
}

// A new master does not ask all its agents at once, however long they take to answer; and it asks all of them.
func TestB35_B36_B37_AgentsAreAskedWithinAWindow(t *testing.T) {
	b, c := known(t, 500)
	c.delay = 300 * time.Millisecond
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: uid, Job: b.job})
	b.pass(20 * time.Second)
	if got := c.nodes(); got["fresh"] != 500 || len(b.claimed) != 1 {
		t.Fatalf("%v, claims %v", got, b.claimed)
	}
	if c.peak > 100 || c.peak < 16 {
		t.Errorf("%d agents were asked at once", c.peak)
	}
	for id, n := range c.asked {
		if n > 3 {
			t.Errorf("%s was asked %d times", id, n)
		}
	}
}

// When all jobs have restarted each of them asks each node: not all at once.
func TestB36_ClaimsOfManyJobsAreAnsweredABatchAtATime(t *testing.T) {
	b, c := living(t, 600)
	b.news()
	for i := range 300 {
		b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: uid, Job: b.job, Again: true}) // in vain: a newer one follows
		b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: model.UID(1000 + i), Job: b.job, Again: true, Mark: 7})
	}
	b.settle()
	if n := len(b.claimed); n < 20 || n > 60 {
		t.Fatalf("%d claims are answered at once", n)
	}
	b.pass(time.Second)
	inventories := 0
	for _, m := range b.news() {
		if _, ok := m.(*msg.Inventory); ok {
			inventories++
		}
	}
	if n := len(b.claimed); n < 301 || n > 330 || inventories != 600*n || c.nodes()["fresh"] != 600 {
		t.Fatalf("%d claims are answered, by %d inventories", n, inventories)
	}
}

// Hellos that come unasked wait in the same line, and waiting costs no node its life.
func TestB36_AStormOfHellosIsAnsweredWithinTheWindow(t *testing.T) {
	b, c := living(t, 400)
	welcomes, most := 0, 0
	b.fabric = func(m *v1.ToAgent) {
		if m.GetWelcome() != nil && c.open[m.GetNode()] == 0 {
			welcomes++
		}
		c.hear(m)
	}
	for i := range 400 {
		c.hello(name(i))
	}
	for range 100_000 {
		before := welcomes
		if !b.step.Step(b.step.Now()) {
			break
		}
		most = max(most, welcomes-before)
	}
	b.pass(2 * time.Second)
	if got := c.nodes(); got["fresh"] != 400 || welcomes != 400 {
		t.Fatalf("%v after %d welcomes", got, welcomes)
	}
	if n := c.last(); n.LostWaiting != 0 || n.Isolated {
		t.Errorf("%+v", n)
	}
}

// Dead nodes hold up nobody, and are lost when they were asked and their time is over.
func TestB36_B43_ANewMasterLosesTheDeadAtARate(t *testing.T) {
	b, c := known(t, 100)
	for i := range 20 {
		c.dead[name(i)] = true
	}
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: uid, Job: b.job})
	b.pass(5 * time.Second)
	if got := c.nodes(); got["fresh"] != 80 {
		t.Fatalf("%v after five seconds", got)
	}
	b.pass(b.env.Settle)
	if got := c.nodes(); got["lost"] < 3 || got["lost"] > 4 || c.last().LostWaiting < 16 || c.last().Isolated || len(b.claimed) > 0 {
		t.Fatalf("%v, told %+v, claims %v", got, c.last(), b.claimed)
	}
	b.pass(time.Minute)
	if got := c.nodes(); got["lost"] < 12 || got["lost"] > 15 || len(b.claimed) > 0 {
		t.Fatalf("%v a minute later", got)
	}
	c.dead[name(19)] = false
	c.hello(name(19))
	b.pass(time.Minute)
	if got := c.nodes(); got["lost"] != 19 || got["fresh"] != 81 || len(b.claimed) != 1 || c.last() != (msg.Nodes{}) {
		t.Fatalf("%v, claims %v, told %+v", got, b.claimed, c.last())
	}
}

func TestB43_OneNodeIsLostWhenItsTimeIsOver(t *testing.T) {
	b, c := living(t, 10)
	c.dead[name(3)] = true
	b.pass(b.env.Lost)
	if got := c.nodes(); got["suspect"] != 1 {
		t.Fatalf("%v", got)
	}
	b.pass(3 * time.Second)
	if got := c.nodes(); got["lost"] != 1 {
		t.Fatalf("%v", got)
	}
}

// When a great share of the nodes falls silent together it is this master that is cut off: nothing is lost, until they come
// back, an operator says that they are gone, or patience ends. So it is for a new master, too.
func TestB43_AMassDisappearanceIsIsolation(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		var b *bench
		var c *crowd
		if fresh {
			b, c = known(t, 10)
		} else {
			b, c = living(t, 10)
		}
		for i := range 5 {
			c.dead[name(i)] = true
		}
		b.pass(2 * time.Minute)
		if got := c.nodes(); got["lost"] != 0 || got["fresh"] != 5 {
			t.Fatalf("new %v: %v", fresh, got)
		}
		if n := c.last(); !n.Isolated || !strings.Contains(n.Reason, "5 of 10 nodes") || n.LostWaiting != 5 || fresh != (n.Awaited == 5) {
			t.Fatalf("new %v: told %+v", fresh, n)
		}
		c.dead[name(0)] = false // and two more: few enough are missing
		c.dead[name(1)] = false
		c.hello(name(0))
		c.hello(name(1))
		b.pass(2*b.env.Suspect + 3*time.Second) // the others have a while to be heard, too
		if got := c.nodes(); got["lost"] != 3 || got["fresh"] != 7 || c.last().Isolated {
			t.Fatalf("new %v: %v, told %+v", fresh, got, c.last())
		}
	}
}

func TestB43_AnOperatorsWordEndsIsolation(t *testing.T) {
	b, c := living(t, 10)
	for i := range 6 {
		c.dead[name(i)] = true
	}
	b.pass(30 * time.Second)
	lose := func(r *v1.LostRequest) any {
		b.answers = nil
		b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.LoseNodes{Request: r})
		b.pass(2 * time.Second)
		return b.answers[0]
	}
	if f, ok := lose(&v1.LostRequest{Id: "none"}).(*model.Fault); !ok || f.Code != 404 {
		t.Errorf("%v", f)
	}
	if f, ok := lose(&v1.LostRequest{Id: name(9)}).(*model.Fault); !ok || f.Code != 409 {
		t.Errorf("%v", f)
	}
	if r, ok := lose(&v1.LostRequest{Id: name(2)}).(*v1.LostReply); !ok || len(r.Nodes) != 1 || c.nodes()["lost"] != 1 {
		t.Fatalf("%v, %v", r, c.nodes())
	}
	if r, ok := lose(&v1.LostRequest{AllSilent: true}).(*v1.LostReply); !ok || len(r.Nodes) != 5 {
		t.Fatalf("%v", r)
	}
	if got := c.nodes(); got["lost"] != 6 || c.last() != (msg.Nodes{}) {
		t.Fatalf("%v, told %+v", got, c.last())
	}
}

// A node that is gone for good is forgotten: no later master waits for it. Should it come back, it is a new one.
func TestB43_B31_ANodeThatIsForgottenIsNotWaitedFor(t *testing.T) {
	log := joinedLog(t, name(0), name(1), name(2))
	b := newBenchOver(t, log, 1)
	c := newCrowd(b)
	c.dead[name(1)] = true
	forget := func(id string) any {
		b.answers = nil
		b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.LoseNodes{Request: &v1.LostRequest{Id: id, Forget: true}})
		b.settle()
		return b.answers[0]
	}
	b.pass(40 * time.Second)
	if f, ok := forget(name(0)).(*model.Fault); !ok || f.Code != 409 {
		t.Fatalf("%v", f)
	}
	if r, ok := forget(name(1)).(*v1.LostReply); !ok || len(r.Nodes) != 1 || c.nodes()["lost"] != 0 || c.nodes()["fresh"] != 2 {
		t.Fatalf("%v, %v", r, c.nodes())
	}
	if f, ok := forget(name(1)).(*model.Fault); !ok || f.Code != 404 {
		t.Fatalf("%v", f)
	}
	if f, ok := forget("").(*model.Fault); !ok || f.Code != 404 {
		t.Fatalf("%v", f)
	}
	b.sys.Kill()
	b = newBenchOver(t, log.Reopen(), 1)
	c = newCrowd(b)
	b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.Claim{ID: id, UID: uid, Job: b.job})
	b.pass(4 * time.Second)
	if got := c.nodes(); got["fresh"] != 2 || len(b.claimed) != 1 {
		t.Fatalf("%v, claims %v", got, b.claimed)
	}
	c.hello(name(1))
	b.pass(4 * time.Second)
	if got := c.nodes(); got["fresh"] != 3 {
		t.Fatalf("%v", got)
	}
}

func TestB43_PatienceWithIsolationEnds(t *testing.T) {
	b, c := living(t, 10, func(l *msg.Limits) { l.IsolationMax = time.Minute })
	for i := range 10 {
		c.dead[name(i)] = true
	}
	b.pass(50 * time.Second)
	if got := c.nodes(); got["lost"] != 0 {
		t.Fatalf("%v", got)
	}
	b.pass(20 * time.Minute)
	if got := c.nodes(); got["lost"] != 10 {
		t.Fatalf("%v", got)
	}
}

// The pace that agents are told grows with their number, and nobody is suspected for it.
func TestB35_ManyAgentsReportLessOften(t *testing.T) {
	b, c := living(t, 10, func(l *msg.Limits) { l.Heartbeat = 100 * time.Millisecond; l.Lost = 20 * time.Second })
	if c.beat != 100*time.Millisecond {
		t.Fatalf("ten agents report every %v", c.beat)
	}
	for i := 10; i < 600; i++ {
		c.hello(name(i))
	}
	b.pass(5 * time.Second)
	if c.beat != 300*time.Millisecond {
		t.Errorf("600 agents report every %v", c.beat)
	}
	p := poll.Period{Base: time.Second, Max: b.env.Lost / 4}
	if got := p.Next(100_000, 0); got > b.env.Lost/4 {
		t.Errorf("100,000 agents report every %v, and %v is when they are lost", got, b.env.Lost)
	}
}

// Two agents of one name: the one that has the session keeps it, the other is refused, and told so.
func TestB46_TheSecondAgentOfAnIdIsRefused(t *testing.T) {
	b := newBench(t)
	say := func(session, process uint64, boot string, slots ...*v1.SlotState) {
		b.from(&v1.FromAgent{Session: session, Hello: &v1.Hello{Session: session, Info: info("n", 10), BootId: boot, Process: process, Slots: slots}})
	}
	refusals := func() (n int, process uint64) {
		for _, m := range b.take() {
			if r := m.GetRefused(); r != nil {
				n, process = n+1, r.GetProcess()
			}
		}
		return n, process
	}
	say(5<<40, 1, "boot-a")
	slots := b.reserve(1)
	f := b.launch(slots[0], 0)
	b.from(&v1.FromAgent{Session: 5 << 40, Ack: 2, First: 1, Changes: []*v1.Change{changed(attempt(slots[0], f, 0, running))}})
	b.take()
	// A copy of its ledger is started on another machine, with a higher number.
	for range 10 {
		say(6<<40, 2, "boot-b")
		b.pass(time.Second)
		b.from(&v1.FromAgent{Session: 5 << 40, Ack: 2})
	}
	if n, process := refusals(); n < 7 || process != 2 {
		t.Fatalf("refused %d times, process %d", n, process)
	}
	s := b.status()
	if s.Slots != 1 || s.Running != 1 || s.Liveness != "fresh" || !strings.Contains(s.Problem, "boot-b") {
		t.Fatalf("%v", s)
	}
	if n := strings.Count(b.logs.String(), "two agents have one node id"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &b.logs)
	}
	for _, m := range b.news() {
		if r, ok := m.(*msg.Reported); ok && len(r.Attempts) > 0 && r.Attempts[0].GetPhase() == lost {
			t.Fatal("the word of the second agent has ended what runs on the first")
		}
	}
	// The first one ends; then the other may have the name.
	b.pass(4 * time.Second)
	say(6<<40, 2, "boot-b")
	if welcomes, _ := b.controls(); welcomes != 1 || b.status().Problem != "" {
		t.Fatalf("%d welcomes when the first is silent; %v", welcomes, b.status())
	}
}

// Whoever begins anew is no rival: the same machine with a higher number, at once; another boot, when the one before has
// been silent for longer than a message is under way.
func TestB46_AnAgentThatBeginsAnewIsNoRival(t *testing.T) {
	b := newBench(t)
	say := func(session, process uint64, boot string) int {
		b.take()
		b.from(&v1.FromAgent{Session: session, Hello: &v1.Hello{Session: session, Info: info("n", 10), BootId: boot, Process: process}})
		welcomes, _ := b.controls()
		return welcomes
	}
	if say(1<<40, 1, "a") != 1 || say(2<<40, 2, "a") != 1 {
		t.Fatal("an agent that was restarted is not welcome")
	}
	if say(3<<40, 3, "b") != 0 {
		t.Fatal("a machine that has booted in no time is welcome")
	}
	b.pass(2 * time.Second)
	say(3<<40, 3, "b")
	b.pass(2 * time.Second)
	if say(3<<40, 3, "b") != 1 {
		t.Fatal("a machine that has booted is not welcome")
	}
	if b.logs.Len() > 0 {
		t.Errorf("%s", &b.logs)
	}
}

func TestX8_ADrillGoesToAnAgentThatIsWell(t *testing.T) {
	b := newBench(t)
	drill := func() any {
		b.answers = nil
		b.sys.TellFrom(b.asker, b.env.Refs.Nodes, &msg.ToNode{ID: "n", Message: &msg.DrillNode{Order: &v1.AgentDrill{Kind: "partition", ForMs: 1000, Id: "d"}}})
		b.settle()
		return b.answers[0]
	}
	if f, ok := drill().(*model.Fault); !ok || f.Code != 404 {
		t.Fatalf("%v", f)
	}
	b.hello(1)
	b.take()
	if s, ok := drill().(*v1.NodeStatus); !ok || s.GetInfo().GetId() != "n" {
		t.Fatalf("%v", s)
	}
	if sent := b.take(); len(sent) != 1 || sent[0].GetDrill().GetId() != "d" || sent[0].GetEpoch() != b.env.Epoch || sent[0].GetSession() != 1 {
		t.Fatalf("sent %v", sent)
	}
	b.pass(8 * time.Second)
	if f, ok := drill().(*model.Fault); !ok || f.Code != 409 {
		t.Fatalf("%v", f)
	}
}
