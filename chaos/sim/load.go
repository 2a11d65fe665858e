package sim

import (
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/node/driver"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// load is what the clients of the world want.
type load struct {
	w     *world
	works map[string]*work
	order []*work
	next  int // of order, to be submitted
	open  int // submits without an answer
	// final is what queues are told when the world has healed; part is the quota in it, in milli-cores, 0 for none.
	final map[string]*v1.QueueSpec
	part  int64
}

// work is one job that some client wants, and how its attempts will go.
type work struct {
	name   string
	spec   *v1.JobSpec
	key    string
	stages []script
	// doomed: one of its instances fails however often it is tried.
	doomed bool
	// possible: it fits some machine.
	possible bool
	uid      uint64 // once acknowledged
	refused  string // why it never will be
	asked    bool
}

// script says how the attempts of one stage go.
type script struct {
	takes, spread time.Duration
	slow          int // of a thousand attempts that take twenty times as long
	failing       int // of a thousand instances that fail at first
	attempts      int
	silent        bool // they leave no result
	forever       bool
	doomed        bool
}

// String is for the timeline.
func (k *work) String() string {
	if k == nil {
		return "-"
	}
	return fmt.Sprintf("%s %s doomed=%v possible=%v %v", k.name, k.spec.GetKind(), k.doomed, k.possible, k.stages)
}

var queues = []string{"default", "q1", "q2"}

// prepare draws all work of the run.
func (l *load) prepare() {
	l.works = map[string]*work{}
	l.prepareQueues()
	for i := range l.w.p.jobs {
		k := l.draw(i)
		l.works[k.name] = k
		l.order = append(l.order, k)
	}
}

func (l *load) draw(i int) *work {
	w, r := l.w, l.w.rng
	k := &work{name: fmt.Sprintf("w%d", i)}
	if r.IntN(5) > 0 {
		k.key = "key-" + k.name
	}
	spec := &v1.JobSpec{
		Name: fmt.Sprintf("j%d", r.IntN(max(2, w.p.jobs/2))), Queue: queues[r.IntN(len(queues))], Labels: map[string]string{"work": k.name},
		Rank: int32(r.IntN(3)), Band: pick(r, "", "", "production", "batch", "free"),
	}
	if r.IntN(8) == 0 {
		spec.Kind = "service"
	}
	if r.IntN(12) == 0 {
		spec.TimeLimit = pick(r, "2s", "10s", "60s")
	}
	l.enrichJob(spec)
	k.doomed = r.IntN(10) == 0 && spec.Kind != "service"
	stages := 1 + r.IntN(3)*r.IntN(2)
	k.possible = true
	for n := range stages {
		st, sc := l.drawStage(spec, n)
		if n == stages-1 {
			sc.doomed = k.doomed
		}
		spec.Stages = append(spec.Stages, st)
		k.stages = append(k.stages, sc)
		k.possible = k.possible && l.fits(spec, st)
	}
	k.spec = spec
	return k
}

func (l *load) drawStage(spec *v1.JobSpec, n int) (*v1.StageSpec, script) {
	r := l.w.rng
	st := &v1.StageSpec{
		Name: fmt.Sprintf("s%d", n), Instances: int64(pick(r, 1, 1, 2, 3, 3, 5, 8, 20)), Command: []string{"work"},
		Resources: &v1.Resources{Cpu: pick(r, "50m", "100m", "250m", "400m"), Memory: pick(r, "8Mi", "32Mi", "64Mi")},
		Retry:     &v1.Retry{Attempts: int32(pick(r, 0, 2, 5)), Backoff: pick(r, "10ms", "1s"), BackoffMax: "2s"},
		Stop:      &v1.Stop{Grace: pick(r, "100ms", "1s", "5s")},
	}
	if n > 0 && r.IntN(4) > 0 {
		st.After = []string{fmt.Sprintf("s%d", n-1)}
	}
	if l.w.p.funcs && r.IntN(3) == 0 {
		st.Driver, st.Func, st.Command = "func", "work", nil
	}
	if r.IntN(10) == 0 {
		st.Constraints = []*v1.Constraint{{Attribute: "rack", Value: pick(r, "r0", "r1")}}
	}
	if r.IntN(10) == 0 {
		st.Spread = pick(r, "node", "rack")
	}
	if r.IntN(40) == 0 {
		st.Resources.Cpu = "64"
	}
	if r.IntN(3) == 0 && spec.Kind != "service" {
		st.Parallel = int64(1 + r.IntN(5))
	}
	sc := script{
		takes: pick(r, 0, 5*time.Millisecond, 100*time.Millisecond, time.Second, 5*time.Second),
		slow:  pick(r, 0, 0, 20), failing: pick(r, 0, 0, 50, 300), silent: r.IntN(10) == 0, attempts: int(st.Retry.Attempts),
	}
	sc.spread = sc.takes
	if sc.attempts == 0 {
		sc.attempts = 3
	}
	if spec.Kind == "service" {
		st.Instances = min(st.Instances, 8)
		st.Parallel, st.Retry.Attempts, st.After = 0, 0, nil
		sc.takes, sc.forever = 20*time.Second+sc.takes*5, r.IntN(3) > 0
	}
	l.enrich(spec, st, &sc)
	return st, sc
}

// planned is how one attempt will go.
type planned struct {
	takes   time.Duration
	fails   bool
	forever bool
	result  string
}

// plan decides how an attempt goes. Whether it fails depends on the instance and the number of the attempt alone, so
// that the world knows how the job must end.
func (l *load) plan(t driver.Task) planned {
	w := l.w
	j := w.truth.jobs[t.JobUID]
	if j == nil || j.work == nil {
		return planned{result: fmt.Sprintf("of nobody %d", t.Fence)}
	}
	sc := &j.work.stages[t.Stage]
	p := planned{takes: sc.takes/2 + w.upTo(sc.spread), forever: sc.forever}
	if w.chance(sc.slow) {
		p.takes *= 20
	}
	draw := hashOf(fmt.Sprintf("%s %d %d", j.work.name, t.Stage, t.Index))
	if int(draw%1000) < sc.failing {
		p.fails = uint64(t.Attempt) <= 1+draw/1000%uint64(max(sc.attempts-1, 1)) && sc.attempts > 1
	}
	if sc.doomed && t.Index == 0 {
		p.fails = true
	}
	if w.part == faults && j.isService() && w.machineOf(t.Node).bad {
		p.takes, p.fails = w.upTo(100*time.Millisecond), true // a service is tried again for ever, so it ends as it must
	}
	if j.isService() && p.fails {
		p.forever = false
	}
	if !sc.silent {
		p.result = fmt.Sprintf("job %d stage %d instance %d attempt %d", t.JobUID, t.Stage, t.Index, t.Fence)
	}
	return p
}
