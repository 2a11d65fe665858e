package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// told makes operations that follow each other, one a line: "client kind job answer …".
func told(t testing.TB, lines ...string) (ops []Op) {
	t.Helper()
	for i, line := range lines {
		op := Op{Call: int64(10 * i), Return: int64(10*i + 5), Outcome: Done}
		var answer string
		if _, err := fmt.Sscan(line, &op.Client, &op.Kind, &op.Job, &answer); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rest := strings.Fields(line)[4:]
		switch answer {
		case "made", "found":
			op.Created = answer == "made"
			fmt.Sscan(strings.Join(rest, " "), &op.UID, &op.Key, &op.Spec)
		case string(Absent), string(Refused), string(Conflict), string(Unknown):
			op.Outcome = Outcome(answer)
			fmt.Sscan(strings.Join(rest, " "), &op.Key, &op.Spec)
		default:
			op.Phase = answer
			fmt.Sscan(strings.Join(rest, " "), &op.UID)
		}
		if err := op.Check(); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		ops = append(ops, op)
	}
	return ops
}

func TestB42_F30_HistoriesMadeByHand(t *testing.T) {
	for name, test := range map[string]struct {
		want  Verdict
		lines []string
	}{
		"a life": {Linearizable, []string{
			"0 status q/a absent", "0 submit q/a made 7 k s", "1 submit q/a found 7 k s", "1 status q/a pending 7", "0 status q/a running 7",
			"2 status q/a pending 7", "2 stop q/a stopping", "2 status q/a stopping 7", "1 list q/a running 7", "1 status q/a stopped 7",
			"1 stop q/a stopped", "1 submit q/a made 9 k2 s", "0 status q/a running 9", "0 submit q/a found 7 k s",
		}},
		"another submit of an equal job":         {Linearizable, []string{"0 submit q/a made 7 k s", "1 submit q/a found 7 k2 s"}},
		"an unknown submit is seen":              {Linearizable, []string{"0 submit q/a unknown k s", "1 status q/a pending 7", "0 submit q/a found 7 k s"}},
		"an unknown submit is not seen":          {Linearizable, []string{"0 submit q/a unknown k s", "1 status q/a absent"}},
		"an unknown submit is seen late":         {Linearizable, []string{"0 submit q/a unknown k s", "1 status q/a absent", "1 status q/a running 7"}},
		"an unknown stop is seen":                {Linearizable, []string{"0 submit q/a made 7 k s", "1 stop q/a unknown", "1 status q/a running 7", "1 status q/a stopped 7"}},
		"a conflict with what lives":             {Linearizable, []string{"0 submit q/a made 7 k s", "1 submit q/a conflict k2 s2"}},
		"a conflict of a key":                    {Linearizable, []string{"0 submit q/a made 7 k s", "0 status q/a failed 7", "1 submit q/a conflict k s2"}},
		"stop of what ends anyhow":               {Linearizable, []string{"0 submit q/a made 7 k s", "1 stop q/a running", "1 status q/a succeeded 7"}},
		"stale read":                             {Broken, []string{"0 submit q/a made 7 k s", "0 submit q/b made 8 l s", "1 status q/a absent"}},
		"lost submit":                            {Broken, []string{"0 submit q/a made 7 k s", "1 status q/a running 7", "1 list q/a absent"}},
		"doubled key":                            {Broken, []string{"0 submit q/a made 7 k s", "0 submit q/a made 8 k s"}},
		"doubled key, after the end":             {Broken, []string{"0 submit q/a made 7 k s", "0 status q/a failed 7", "0 submit q/a found 8 k s"}},
		"an unknown submit makes two":            {Broken, []string{"0 submit q/a unknown k s", "1 status q/a pending 7", "0 submit q/a found 8 k s"}},
		"an end that goes back":                  {Broken, []string{"0 submit q/a made 7 k s", "1 status q/a succeeded 7", "1 status q/a running 7"}},
		"an end that changes":                    {Broken, []string{"0 submit q/a made 7 k s", "1 status q/a succeeded 7", "1 list q/a failed 7"}},
		"a stop that is forgotten":               {Broken, []string{"0 submit q/a made 7 k s", "1 stop q/a stopping", "1 status q/a running 7"}},
		"a stop that was tried twice":            {Linearizable, []string{"0 submit q/a made 7 k s", "1 stop q/a stopped", "1 status q/a stopped 7"}},
		"a stop that nobody asked for":           {Broken, []string{"0 submit q/a made 7 k s", "1 status q/a stopped 7"}},
		"a job that nobody submitted":            {Broken, []string{"1 status q/a running 7"}},
		"an older job comes back":                {Broken, []string{"0 submit q/a made 7 k s", "0 status q/a failed 7", "0 submit q/a made 9 l s", "1 status q/a failed 7"}},
		"a uid that shrinks":                     {Broken, []string{"0 submit q/a made 9 k s", "0 status q/a failed 9", "0 submit q/a made 7 l s"}},
		"a conflict with nothing":                {Broken, []string{"0 submit q/a made 7 k s", "0 status q/a failed 7", "0 submit q/a conflict l s2"}},
		"a key of two names":                     {Broken, []string{"0 submit q/a made 7 k s", "0 submit q/b made 8 k s"}},
		"a job of two names":                     {Broken, []string{"0 submit q/a made 7 k s", "0 submit q/b made 7 l s"}},
		"a key that is refused for another name": {Linearizable, []string{"0 submit q/a made 7 k s", "0 submit q/b conflict k s"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := Check(told(t, test.lines...), time.Minute)
			if r.Verdict != test.want {
				t.Fatalf("%s, want %s: %v", r.Verdict, test.want, r.Findings)
			}
			if test.want == Broken && (len(r.Findings) == 0 || len(r.Findings[0].Ops) == 0) {
				t.Errorf("nothing says why: %+v", r)
			}
		})
	}
}

// What overlaps may have happened in either order.
func TestF30_OverlapGivesFreedom(t *testing.T) {
	ops := told(t, "0 submit q/a made 7 k s", "1 status q/a absent")
	if r := Check(ops, time.Minute); r.Verdict != Broken {
		t.Fatal(r.Verdict)
	}
	ops[0].Return = 100
	if r := Check(ops, time.Minute); r.Verdict != Linearizable {
		t.Fatal(r)
	}
}

// A question that takes too long is not answered, and says so.
func TestF30_TooLongToDecide(t *testing.T) {
	r := Check(told(t, "0 submit q/a made 7 k s"), 0)
	if r.Verdict != Undecided || r.UndecidedJobs != 1 || len(r.UndecidedNames) != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestDrawShowsWhatIsBroken(t *testing.T) {
	var page bytes.Buffer
	if err := Draw(&page, told(t, "0 submit q/fine made 6 j s", "0 submit q/a made 7 k s", "1 status q/a absent"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if text := page.String(); !strings.Contains(text, "q/a -\\u003e absent") || strings.Contains(text, "q/fine") {
		t.Errorf("the page does not show the broken name alone: %.300s", text[max(0, len(text)-300):])
	}
}

// master is a plain cell of one job name: the oracle. Choices that a real one makes by itself are drawn.
type master struct {
	draw func(n int) int
	keys map[string]made
	job  *job
	uid  uint64
}

type job struct {
	uid   uint64
	spec  string
	phase phase
}

func (j *job) String() string {
	if j == nil {
		return "none"
	}
	return fmt.Sprint(*j)
}

func (m *master) clone() *master {
	c := *m
	c.keys = map[string]made{}
	for k, v := range m.keys {
		c.keys[k] = v
	}
	if m.job != nil {
		j := *m.job
		c.job = &j
	}
	return &c
}

// pass lets time pass, in which a job may end.
func (m *master) pass() {
	if m.job == nil || m.job.phase.ended() || m.draw(4) > 0 {
		return
	}
	ends := []phase{succeeded, failed, stopped}[:2+m.draw(2)]
	p := ends[len(ends)-1]
	if m.job.phase == live && p == stopped {
		p = succeeded
	}
	m.job.phase = p
}

// do answers as the cell does.
func (m *master) do(op *Op) {
	op.Outcome = Done
	if op.Kind == Submit {
		m.submit(op)
		return
	}
	if m.job == nil {
		op.Outcome = Absent
		return
	}
	if op.Kind == Stop && m.job.phase == live && m.draw(8) > 0 {
		m.job.phase = stopping
	}
	op.Phase = m.job.phase.String()
	if op.Phase == "live" {
		op.Phase = []string{"pending", "running"}[m.draw(2)]
	}
	op.UID = m.job.uid
}

func (m *master) submit(op *Op) {
	before, again := m.keys[op.Key]
	lives := m.job != nil && !m.job.phase.ended()
	switch {
	case again && before.spec != op.Spec, !again && lives && m.job.spec != op.Spec:
		op.Outcome = Conflict
	case again:
		op.UID = before.uid
	case lives:
		op.UID = m.job.uid
	default:
		m.uid += 10
		m.job = &job{m.uid, op.Spec, live}
		m.keys[op.Key] = made{m.uid, op.Spec}
		op.UID, op.Created = m.uid, true
	}
}

// live makes a history of one name: n operations of some clients that overlap, some of unknown outcome.
func lived(draw func(n int) int, n, clients, keys int) (ops []Op) {
	m := &master{draw: draw, keys: map[string]made{}}
	now := make([]int64, clients)
	at := int64(0)
	for range n {
		c := draw(clients)
		at += int64(1 + draw(10))
		op := Op{Client: c, Job: "q/a", Kind: []Kind{Submit, Submit, Status, Status, Status, Stop, List}[draw(7)]}
		op.Call = max(now[c]+1, at-int64(draw(30)))
		if op.Kind == Submit {
			op.Key, op.Spec = fmt.Sprint("k", draw(keys)), fmt.Sprint("s", draw(2))
		}
		lost := draw(10)
		if lost > 0 { // the request arrives
			m.pass()
			m.do(&op)
		}
		op.Return = max(at, op.Call) + int64(draw(20))
		if lost < 2 { // the answer does not
			op = Op{Client: c, Job: op.Job, Kind: op.Kind, Key: op.Key, Spec: op.Spec, Call: op.Call, Return: op.Return, Outcome: Unknown}
		}
		now[c], at = op.Return, max(at, op.Call)
		ops = append(ops, op)
	}
	return ops
}

// possible is the slow way to decide: all orders, all choices, all fates of what is unknown.
func possible(m *master, ops []Op) bool {
	if len(ops) == 0 {
		return true
	}
	first := int64(forever)
	for i := range ops {
		if ops[i].Outcome != Unknown {
			first = min(first, ops[i].Return)
		}
	}
	for i := range ops {
		if ops[i].Call > first {
			continue
		}
		rest := slices.Delete(slices.Clone(ops), i, i+1)
		if ops[i].Outcome == Unknown && possible(m, rest) {
			return true
		}
		for _, next := range outcomes(m, &ops[i]) {
			if possible(next, rest) {
				return true
			}
		}
	}
	return false
}

// outcomes are all cells after an operation that had the outcome that it says.
func outcomes(m *master, want *Op) (all []*master) {
	starts := []*master{m}
	if m.job != nil && !m.job.phase.ended() {
		for _, p := range []phase{succeeded, failed, stopped} {
			if m.job.phase == live && p == stopped && want.Kind != Stop {
				continue // by a stop it may be: its answer may be that of a second try
			}
			c := m.clone()
			c.job.phase = p
			starts = append(starts, c)
		}
	}
	seen := map[string]bool{}
	for _, start := range starts {
		uids := uidsAfter(start.uid)
		if want.Kind != Submit {
			uids = uids[:1]
		}
		for choice := range 2 {
			for _, uid := range uids {
				c := start.clone()
				c.draw, c.uid = func(n int) int { return choice * (n - 1) }, uid-10
				got := Op{Kind: want.Kind, Key: want.Key, Spec: want.Spec}
				c.do(&got)
				if !got.Created {
					c.uid = start.uid
				}
				if as := fmt.Sprint(c.uid, c.keys, c.job); !seen[as] && (want.Outcome == Unknown || agrees(&got, want)) {
					seen[as] = true
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// uidsAfter are the uids that a new job may have: one of those in histories of the test, or one that nobody sees.
func uidsAfter(last uint64) (list []uint64) {
	for uid := uint64(10); uid <= 70; uid += 10 {
		if uid > last {
			list = append(list, uid)
		}
	}
	return append(list, last+1)
}

func agrees(got, want *Op) bool {
	if got.Outcome != want.Outcome {
		return false
	}
	if got.Outcome != Done {
		return true
	}
	if want.Kind == Submit { // an answer may say "found" of what an earlier try of the same submit has made
		return got.UID == want.UID && (got.Created || !want.Created)
	}
	g, w := phaseOf(got.Phase), phaseOf(want.Phase)
	return (want.UID == 0 || got.UID == want.UID) && (g == w || want.Kind == List && !w.ended())
}

// The fast check says what the slow one says, of histories that a cell has lived and of such that were changed.
func TestB42_F30_AsTheSlowOracle(t *testing.T) {
	verdicts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		ops := lived(draw, 1+draw(6), 3, 2)
		if draw(3) > 0 {
			op := &ops[draw(len(ops))]
			switch {
			case op.Outcome == Done && op.UID != 0 && draw(2) == 0:
				op.UID = uint64(10 * (1 + draw(3)))
			case op.Outcome == Done && op.Phase != "":
				op.Phase = phases()[draw(6)]
			case op.Outcome == Done:
				op.Created = !op.Created
			case op.Outcome == Absent:
				op.Outcome, op.UID, op.Phase = Done, 10, phases()[draw(6)]
			case op.Outcome == Conflict:
				op.Outcome, op.UID, op.Created = Done, 10, draw(2) == 0
			}
		}
		want := possible(&master{keys: map[string]made{}}, ops)
		verdicts[want]++
		if got := Check(ops, time.Minute); (got.Verdict == Linearizable) != want {
			for i := range ops {
				t.Logf("%d-%d %v", ops[i].Call, ops[i].Return, &ops[i])
			}
			t.Fatalf("%s, the slow oracle says %v", got.Verdict, want)
		}
	})
	if min(verdicts[true], verdicts[false]) == 0 {
		t.Errorf("only one verdict was asked for: %v", verdicts)
	}
}

// What a cell has lived is accepted; the same with a lie at its end is not.
func TestB42_F30_MutatedHistoriesAreRefused(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		ops := lived(random.IntN, 40, 5, 6)
		if r := Check(ops, time.Minute); r.Verdict != Linearizable {
			t.Fatalf("seed %d: a cell has lived it: %+v", seed, r)
		}
		end := int64(0)
		seen := Op{}
		for _, op := range ops {
			end = max(end, op.Return)
			if op.Outcome == Done && op.UID > seen.UID {
				seen = op
			}
		}
		if seen.UID < 20 {
			continue
		}
		lie := func(op Op) {
			op.Job, op.Call, op.Return = "q/a", end+1, end+2
			if r := Check(append(slices.Clone(ops), op), time.Minute); r.Verdict != Broken {
				t.Fatalf("seed %d, with %v: %s", seed, &op, r.Verdict)
			}
		}
		lie(Op{Kind: Status, Outcome: Absent})
		lie(Op{Kind: Stop, Outcome: Absent})
		lie(Op{Kind: List, Outcome: Done, UID: seen.UID - 10, Phase: "failed"})
		lie(Op{Kind: Status, Outcome: Done, UID: seen.UID - 10, Phase: "running"})
		for _, op := range ops {
			if op.Kind == Submit && op.Created {
				lie(Op{Kind: Submit, Outcome: Done, Key: op.Key, Spec: op.Spec, UID: 10_000, Created: true})
				lie(Op{Kind: Submit, Outcome: Done, Key: op.Key, Spec: op.Spec, UID: 10_000})
				break
			}
		}
	}
}
