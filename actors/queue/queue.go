package queue

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	stashMax = 4096
	// retryAfter is what a refused submitter is told to wait.
	retryAfter = time.Second
	// reportEvery bounds how often the supervisor hears of a change.
	reportEvery = 500 * time.Millisecond
	// ownersMax bounds the owners whose runs are remembered; those that ended no run for longest are forgotten.
	ownersMax = 1000
)

// Actor is one queue.
type Actor struct {
	env   *msg.Env
	name  string
	ready bool
	again bool // there was another actor of this queue before, in this master
	stash kit.Stash

	spec    *v1.QueueSpec
	plan    *model.QueuePlan
	use     *msg.QueueUse // as the placer last said; nil before
	past    *backfill.Predictor
	removed bool
	live    int
	counts  tally               // of the live jobs
	jobs    map[string]*entry   // newest job of each name
	owners  map[string][]*entry // jobs that wait for their first slots, by owner and uid
	keys    map[string]*v1.JobKey
	dirty   bool
	told    time.Time // when the supervisor was last told
}

// entry is what a queue knows of one job.
type entry struct {
	uid     model.UID
	key     string
	sum     [32]byte // of the spec, while the job lives
	summary *v1.JobSummary
	live    bool
	want    *msg.Want
	sorted  []model.Label     // of the job
	allowed map[uint32]uint64 // what the placer was last told, by stage
	// predicted is what it was told of how long an attempt runs; waits says that the job stands in owners.
	predicted map[uint32]time.Duration
	waits     bool
}

// untold is no target: what the placer was told must be said again.
const untold = 1 << 63

// New makes the actor of the queue of that name.
func New(env *msg.Env, name string) *Actor {
	return &Actor{
		env: env, name: name, stash: kit.Stash{Max: stashMax}, jobs: map[string]*entry{}, keys: map[string]*v1.JobKey{},
		owners: map[string][]*entry{},
		past:   backfill.NewPredictor(ownersMax),
	}
}

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		a.again = a.again || m.Incarnation > 1
		ctx.Tell(a.env.Refs.Journal, &msg.ReadQueue{Name: a.name})
	case *msg.QueueRead:
		a.restore(ctx, m)
	case kit.Retire:
		ctx.StopSelf()
	case *msg.CommitRefused:
		panic(m.Reason) // what it was built on was not true: build again
	case *kit.Busy:
		// The placer did not take a demand; tell it everything again when it has had time.
		ctx.After("resend", retryAfter, &msg.DemandRequest{})
	default:
		if a.ready {
			a.handle(ctx, m)
		} else if !a.stash.Add(ctx, m) {
			ctx.Reply(model.Busy(retryAfter, "queue %s is starting", a.name))
		}
	}
}

func (a *Actor) handle(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case *msg.Submit:
		a.submit(ctx, m)
	case *msg.Want:
		a.want(ctx, m)
	case *msg.JobChanged:
		if e := a.entry(m.Summary); e != nil && e.live {
			a.counts.sub(e.summary.GetCounts())
			e.summary = m.Summary
			a.counts.add(e.summary.GetCounts())
			a.stand(e)
			a.changed(ctx)
		}
	case *msg.JobEnded:
		a.jobEnded(ctx, m)
	case *msg.JobForgotten:
		if e := a.jobs[m.ID.Name]; e != nil && e.uid == m.UID {
			delete(a.jobs, m.ID.Name)
		}
		if made := a.keys[m.Key]; made != nil && made.GetUid() == uint64(m.UID) {
			delete(a.keys, m.Key)
		}
	case *msg.DemandRequest:
		a.resend(ctx)
	case *applySpec:
		a.setSpec(ctx, m.spec)
		a.allot(ctx)
		// A list that is asked for after the answer must show what was set.
		ctx.Tell(a.env.Refs.Queues, &msg.QueueChanged{Status: a.status()})
		ctx.Reply(a.status())
	case *msg.QueueUse:
		a.use = m
		a.changed(ctx)
	case *msg.RemoveQueue:
		a.remove(ctx)
	case *msg.GetQueue:
		ctx.Reply(a.status())
	case *msg.ListJobs:
		a.list(ctx, m)
	case report:
		if a.dirty {
			a.dirty, a.told = false, ctx.Now()
			ctx.Tell(a.env.Refs.Queues, &msg.QueueChanged{Status: a.status()})
		}
	}
}

// report is the timer that tells the supervisor of changes.
type report struct{}

// changed makes sure that the supervisor hears of a change soon: at once, if it was not told just now.
func (a *Actor) changed(ctx *kit.Context) {
	if a.dirty {
		return
	}
	a.dirty = true
	ctx.After("report", max(a.told.Add(reportEvery).Sub(ctx.Now()), 0), report{})
}

func (a *Actor) restore(ctx *kit.Context, m *msg.QueueRead) {
	if a.ready {
		return
	}
	a.ready = true
	if m.State == nil {
		a.removed = true
	} else {
		a.setSpec(ctx, m.State.Spec)
		if !plant.Is(plant.KeyForgotten) {
			a.keys = m.State.Keys()
		}
	}
	for _, s := range m.Jobs { // by uid: the newest of a name comes last
		live := s.GetEndedUnixMs() == 0
		a.jobs[s.GetName()] = &entry{uid: model.UID(s.GetUid()), summary: s, live: live, sum: m.Sums[model.UID(s.GetUid())]}
		if live {
			a.live++
			a.counts.add(s.GetCounts())
		}
	}
	if a.again {
		// What was demanded for jobs that have ended since must not stand, and the others must say again what they want.
		ctx.Tell(a.env.Refs.Placer, &msg.QueueReset{Queue: a.name})
		ctx.Tell(a.env.Refs.Jobs, &msg.ToAllJobs{Message: &msg.WantRequest{Queue: a.name}})
	}
	a.stash.Drain(ctx, a.handle)
	if !a.removed {
		ctx.Tell(a.env.Refs.Queues, &msg.QueueChanged{Status: a.status()})
	}
}

// entry finds the entry that a summary is about; nil if it is about an older job of that name.
func (a *Actor) entry(s *v1.JobSummary) *entry {
	if e := a.jobs[s.GetName()]; e != nil && uint64(e.uid) == s.GetUid() {
		return e
	}
	return nil
}

func (a *Actor) submit(ctx *kit.Context, m *msg.Submit) {
	a.changed(ctx) // the supervisor counts it as a live job until it hears better
	name, sum := m.Plan.ID.Name, model.SpecSum(m.Plan.Spec)
	e := a.jobs[name]
	made := a.keys[m.Key]
	switch {
	case a.removed:
		ctx.Reply(model.NotFound("there is no queue %q; make it with: troupe queue set %s", a.name, a.name))
	case m.Key != "" && made != nil && (made.GetName() != name || [32]byte(made.GetSpecSha256()) != sum):
		whenDurable(ctx, a.env, model.Conflict("key %q has made job %q from another spec; use a new key", m.Key, made.GetName()))
	case m.Key != "" && made != nil:
		a.exists(ctx, name, model.UID(made.GetUid()))
	case e != nil && e.live && e.sum == sum:
		a.exists(ctx, name, e.uid)
	case e != nil && e.live:
		whenDurable(ctx, a.env, model.Conflict("job %s lives, with another spec; stop it first: troupe job stop %s", m.Plan.ID, name))
	case a.spec.GetMaxJobs() > 0 && int64(a.live) >= a.spec.GetMaxJobs():
		ctx.Reply(model.Busy(retryAfter, "queue %s has %d live jobs, its limit", a.name, a.live))
	default:
		a.admit(ctx, m, sum)
	}
}

// exists answers for a job that an earlier submit has made.
func (a *Actor) exists(ctx *kit.Context, name string, uid model.UID) {
	whenDurable(ctx, a.env, &v1.SubmitReply{Queue: a.name, Name: name, Uid: uint64(uid)})
}

// whenDurable answers when all that the answer may tell of is durable: a job may still be on its way to the disk, and get
// lost there.
func whenDurable(ctx *kit.Context, env *msg.Env, reply any) {
	ctx.Tell(env.Refs.Journal, &msg.Commit{Then: []msg.Send{{To: ctx.Sender(), Message: reply}}})
}

// listed answers a list.
func listed(ctx *kit.Context, env *msg.Env, m *msg.ListJobs, next string) {
	reply := &v1.ListJobsReply{Jobs: m.Found, Next: next}
	if m.Now {
		ctx.Reply(reply)
		return
	}
	whenDurable(ctx, env, reply)
}

func (a *Actor) admit(ctx *kit.Context, m *msg.Submit, sum [32]byte) {
	uid, id := a.env.IDs.UID(), m.Plan.ID
	now := ctx.Now()
	event := &v1.Event{Kind: &v1.Event_JobSubmitted{JobSubmitted: &v1.JobSubmitted{
		Uid: uint64(uid), Spec: m.Plan.Spec, Key: m.Key, TimeUnixNano: now.UnixNano(),
	}}}
	if m.Key != "" {
		a.keys[m.Key] = &v1.JobKey{Key: m.Key, Uid: uint64(uid), Name: id.Name, SpecSha256: sum[:]}
	}
	a.jobs[id.Name] = &entry{uid: uid, key: m.Key, sum: sum, live: true, summary: &v1.JobSummary{
		Queue: a.name, Name: id.Name, Uid: uint64(uid), Kind: m.Plan.Spec.GetKind(), Band: m.Plan.Spec.GetBand(),
		Phase: "pending", Counts: &v1.Counts{Wanted: instances(m.Plan), Waiting: instances(m.Plan)}, SubmittedUnixMs: now.UnixMilli(), Labels: m.Plan.Spec.GetLabels(),
	}}
	a.live++
	a.counts.add(a.jobs[id.Name].summary.GetCounts())
	a.changed(ctx)
	reply := &v1.SubmitReply{Queue: a.name, Name: id.Name, Uid: uint64(uid), Created: true}
	if plant.Is(plant.AckBeforeCommit) {
		ctx.Reply(reply)
	}
	ctx.Tell(a.env.Refs.Journal, &msg.Commit{
		Events: []*v1.Event{event},
		Then: []msg.Send{
			// The job first: who has the answer asks for it at once.
			{To: a.env.Refs.Jobs, Message: &msg.StartJob{ID: id, UID: uid, Fresh: true}},
			{To: ctx.Sender(), Message: reply},
		},
	})
}

func instances(p *model.Plan) (n uint64) {
	for i := range p.Stages {
		n += p.Stages[i].Instances
	}
	return n
}

func (a *Actor) jobEnded(ctx *kit.Context, m *msg.JobEnded) {
	e := a.entry(m.Summary)
	if e == nil {
		return
	}
	old := e.summary
	e.summary = m.Summary
	if e.live {
		a.counts.sub(old.GetCounts())
		e.live = false
		if plant.Is(plant.KeyOfEndedForgotten) {
			delete(a.keys, e.key)
		}
		a.stand(e)
		a.learn(ctx, e, m.Runs)
		a.live--
		e.want = nil
		a.demand(ctx, e, 0)
		if a.spec.GetMaxSlots() > 0 {
			a.allot(ctx)
		}
	}
	a.changed(ctx)
}

func (a *Actor) want(ctx *kit.Context, m *msg.Want) {
	e := a.jobs[m.ID.Name]
	if e == nil || e.uid != m.UID || !e.live {
		return
	}
	if e.want != nil && (e.want.Job.Id != m.Job.Id || m.Again) {
		// The job has another actor since its supervisor failed, or says the same again because it still waits: the
		// placer must be told, whatever it was told before.
		for stage := range e.allowed { //order: each for itself
			e.allowed[stage] = untold
		}
	}
	e.want = m
	a.stand(e)
	if a.spec.GetMaxSlots() > 0 {
		a.allot(ctx)
		return
	}
	a.demand(ctx, e, 1<<62)
}

// allot hands out the queue's slots to its jobs in their order and tells the placer what has changed.
func (a *Actor) allot(ctx *kit.Context) {
	left := uint64(1) << 62
	if limit := a.spec.GetMaxSlots(); limit > 0 {
		left = uint64(limit)
	}
	for _, e := range a.ordered() {
		left -= a.demand(ctx, e, left)
	}
}

// ordered lists the jobs that the placer knows or should know, those that go first first.
func (a *Actor) ordered() []*entry {
	var list []*entry
	for _, e := range a.jobs { //order: sorted below
		if e.want != nil || len(e.allowed) > 0 {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(x, y *entry) int {
		if x.want != nil && y.want != nil {
			if c := x.want.Priority.Compare(y.want.Priority); c != 0 {
				return c
			}
		}
		return cmp.Compare(x.uid, y.uid)
	})
	return list
}

// demand tells the placer what e may hold, at most left slots in all; it returns how many that are.
func (a *Actor) demand(ctx *kit.Context, e *entry, left uint64) (used uint64) {
	allowed := map[uint32]uint64{}
	if e.want != nil {
		for _, s := range e.want.Stages {
			target := min(s.Target, left-used)
			used += target
			allowed[s.Stage] = target
			if old, told := e.allowed[s.Stage]; told && old == target {
				continue
			}
			ctx.Tell(a.env.Refs.Placer, a.demandOf(e, s, target))
		}
	}
	for _, stage := range sortedKeys(e.allowed) {
		if _, still := allowed[stage]; !still && e.allowed[stage] > 0 {
			ctx.Tell(a.env.Refs.Placer, &msg.Demand{Stage: model.StageID{Job: e.uid, Stage: stage}})
		}
	}
	e.allowed = allowed
	return used
}

func sortedKeys(m map[uint32]uint64) []uint32 {
	keys := make([]uint32, 0, len(m))
	for k := range m { //order: sorted below
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// resend tells the placer everything again.
func (a *Actor) resend(ctx *kit.Context) {
	for _, e := range a.jobs { //order: allot sorts
		e.allowed = nil
	}
	a.tellShare(ctx)
	a.allot(ctx)
}

func (a *Actor) remove(ctx *kit.Context) {
	switch {
	case a.removed:
		ctx.Reply(model.NotFound("there is no queue %q", a.name))
	case a.name == model.DefaultQueue:
		ctx.Reply(model.Conflict("queue %q is where jobs go that name no queue; it cannot be removed", a.name))
	case a.live > 0:
		ctx.Reply(model.Conflict("queue %q has %d live jobs; stop them first", a.name, a.live))
	default:
		a.removed = true
		ctx.Tell(a.env.Refs.Placer, &msg.QueueShare{Queue: a.name})
		ctx.Tell(a.env.Refs.Journal, &msg.Commit{
			Events: []*v1.Event{{Kind: &v1.Event_QueueRemoved{QueueRemoved: &v1.QueueRemoved{Queue: a.name}}}},
			Then:   []msg.Send{{To: ctx.Sender(), Message: a.status()}, {To: a.env.Refs.Queues, Message: &queueRemoved{a.name}}},
		})
	}
}

func (a *Actor) status() *v1.QueueStatus {
	s := &v1.QueueStatus{Spec: a.spec, LiveJobs: uint64(a.live), EndedJobs: uint64(max(len(a.jobs)-a.live, 0)), Counts: a.counts.proto()}
	if a.plan != nil && len(a.plan.Quota) > 0 {
		s.Quota = amounts(a.plan.Quota)
	}
	if u := a.use; u != nil {
		s.Used, s.Waiting, s.Lent, s.Borrowed, s.Allowed = u.Used, u.Waiting, u.Lent, u.Borrowed, u.Allowed
	}
	return s
}

// list adds the jobs that match and hands the list on to the next queue, or to the asker when it is full.
func (a *Actor) list(ctx *kit.Context, m *msg.ListJobs) {
	limit := int(m.Request.GetLimit())
	var names []string
	for name, e := range a.jobs { //order: sorted below
		if (e.live || m.Request.GetEnded()) && a.after(name, m.Request.GetAfter()) && matches(e.summary, m.Request.GetLabels()) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if len(m.Found) == limit {
			listed(ctx, a.env, m, model.JobID{Queue: m.Found[limit-1].GetQueue(), Name: m.Found[limit-1].GetName()}.String())
			return
		}
		m.Found = append(m.Found, a.jobs[name].summary)
	}
	ctx.Forward(a.env.Refs.Queues, &msg.ListJobs{Request: m.Request, Found: m.Found, From: a.name + "\x00", Now: m.Now})
}

// after reports whether a job comes after the place where the last page ended, "queue/name".
func (a *Actor) after(name, cursor string) bool {
	queue, last, _ := strings.Cut(cursor, "/")
	return a.name > queue || (a.name == queue && name > last)
}

func matches(s *v1.JobSummary, labels map[string]string) bool {
	for k, v := range labels { //order: all must hold
		if s.GetLabels()[k] != v {
			return false
		}
	}
	return true
}
