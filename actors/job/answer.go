package job

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	instancesShown  = 1000
	failuresShown   = 20
	evictionsShown  = 20
	resultsBytesMax = 512 << 10
	endpointsMax    = 10_000
	placesMax       = 65_536
)

// answer handles questions; none of them changes anything.
func (a *Actor) answer(ctx *kit.Context, message any) {
	if a.missing {
		switch message.(type) {
		case *msg.GetJob, *msg.ExplainJob, *msg.GetResults, *msg.LocateLogs, *msg.StopJob:
			ctx.Reply(model.NotFound("there is no job %s", a.id))
		}
		return
	}
	switch m := message.(type) {
	case *msg.GetJob:
		ctx.Reply(a.status())
	case *msg.ExplainJob:
		a.explain(ctx, m)
	case *msg.GetResults:
		a.results(ctx, m.Request)
	case *msg.LocateLogs:
		a.locate(ctx, m.Request)
	}
}

func (a *Actor) phase() string { return a.life.String() }

// counts are the numbers of one stage: hard ones as they are durable, the rest as they are known.
func (a *Actor) counts(i int) *v1.Counts {
	c, st := a.hard.Counts(i), a.stages[i]
	n := &v1.Counts{
		Wanted: c.Instances, Done: c.Done, Dead: c.Dead, FailedAttempts: c.FailedAttempts,
		Running: uint64(len(st.running) + len(st.settling)), Slots: st.held,
	}
	n.Waiting = c.Open() - min(c.Open(), n.Running)
	return n
}

func add(sum, n *v1.Counts) {
	sum.Wanted += n.Wanted
	sum.Waiting += n.Waiting
	sum.Running += n.Running
	sum.Done += n.Done
	sum.Dead += n.Dead
	sum.FailedAttempts += n.FailedAttempts
	sum.Slots += n.Slots
}

func (a *Actor) summary() *v1.JobSummary {
	s := &v1.JobSummary{
		Queue: a.id.Queue, Name: a.id.Name, Uid: uint64(a.uid()), Kind: a.hard.Spec.GetKind(), Band: a.hard.Spec.GetBand(),
		Labels: a.hard.Spec.GetLabels(), Phase: a.phase(), Counts: &v1.Counts{},
		SubmittedUnixMs: a.hard.SubmittedUnixNano / 1e6, EndedUnixMs: a.hard.EndedUnixNano / 1e6,
	}
	for i := range a.stages {
		add(s.Counts, a.counts(i))
	}
	return s
}

func (a *Actor) status() *v1.JobStatus {
	sum := a.summary()
	s := &v1.JobStatus{
		Queue: sum.Queue, Name: sum.Name, Uid: sum.Uid, Kind: sum.Kind, Band: sum.Band, Rank: a.hard.Spec.GetRank(),
		Labels: sum.Labels, Phase: sum.Phase, Reason: a.hard.Reason, Counts: sum.Counts,
		SubmittedUnixMs: sum.SubmittedUnixMs, EndedUnixMs: sum.EndedUnixMs,
	}
	if a.ending != nil && s.Reason == "" {
		s.Reason = a.ending.reason
	}
	for i, st := range a.stages {
		c := a.counts(i)
		s.Stages = append(s.Stages, &v1.StageStatus{
			Name: st.plan.Name, Counts: c, Phase: a.stagePhase(i, c), ResultBytes: a.hard.Counts(i).ResultBytes,
		})
		s.Instances = a.appendInstances(s.Instances, st)
		for _, f := range a.hard.RecentFailures(i, failuresShown-len(s.Failures)) {
			f = proto.CloneOf(f) // the state's own has no word of its stage
			f.Stage = st.plan.Name
			s.Failures = append(s.Failures, f)
		}
		n, evictions := a.hard.Evictions(i)
		s.Evicted += n
		s.Evictions = append(s.Evictions, evictions...)
	}
	slices.SortStableFunc(s.Evictions, func(x, y *v1.Eviction) int { return cmp.Compare(y.GetTimeUnixNano(), x.GetTimeUnixNano()) })
	s.Evictions = s.Evictions[:min(len(s.Evictions), evictionsShown)]
	return s
}

func (a *Actor) stagePhase(i int, c *v1.Counts) string {
	switch {
	case a.hard.StageDone(i):
		return "succeeded"
	case c.Dead > 0 && !a.plan.Service:
		return "failed"
	case a.hard.Ended():
		return a.hard.Phase // it went no further than the job
	case !a.stages[i].open:
		return "blocked"
	case c.Running > 0 || c.Done > 0:
		return "running"
	}
	return "pending"
}

func (a *Actor) appendInstances(list []*v1.InstanceStatus, st *stage) []*v1.InstanceStatus {
	indexes := make([]uint64, 0, len(st.running))
	for i := range st.running { //order: sorted below
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	for _, i := range indexes {
		if len(list) == instancesShown {
			break
		}
		at := st.running[i]
		s := &v1.InstanceStatus{
			Stage: st.plan.Name, Index: i, Attempt: at.number, Fence: uint64(at.fence),
			Node: string(at.slot.node), Slot: uint64(at.slot.id), Phase: "starting",
		}
		if at.state.GetPhase() == v1.AttemptPhase_ATTEMPT_PHASE_RUNNING {
			s.Phase, s.ProgressMilli, s.StartedUnixMs = "running", at.state.GetProgressMilli(), at.state.GetStartedUnixNano()/1e6
		}
		if at.stopping || at.slot.leaving {
			s.Phase = "stopping"
		}
		list = append(list, s)
	}
	return list
}

// explain begins the answer with what the job knows and sends it to the placer, which knows the rest.
func (a *Actor) explain(ctx *kit.Context, m *msg.ExplainJob) {
	if want := m.Request.GetStage(); want != "" && a.stageNumber(want) < 0 {
		ctx.Reply(a.noStage(want))
		return
	}
	reply := &v1.ExplainReply{Summary: fmt.Sprintf("job %s is %s", a.id, a.phase())}
	if a.hard.Reason != "" {
		reply.Summary += ": " + a.hard.Reason
	}
	if a.mode == recovering {
		reply.Summary += fmt.Sprintf("; the master has begun lately and waits for what the nodes report (%d of %d so far)", len(a.heard), max(a.expect, 0))
	}
	out := &msg.ExplainStages{Reply: reply, UID: a.uid()}
	for i, st := range a.stages {
		if want := m.Request.GetStage(); want != "" && want != st.plan.Name {
			continue
		}
		e := &v1.StageExplain{Stage: st.plan.Name, WantedSlots: st.target, HeldSlots: st.held}
		switch c := a.counts(i); {
		case a.hard.StageDone(i):
			e.Summary = "all is done: " + instances(c.Wanted)
		case !st.open:
			e.Summary = "waits for " + strings.Join(a.blockers(i), ", ")
		case m.Request.GetHasIndex():
			e.Summary = a.explainInstance(ctx, st, m.Request.GetIndex())
		case st.gang.explain(st, ctx.Now()) != "":
			e.Summary, e.WaitsFor = st.gang.explain(st, ctx.Now()), "gang"
		case len(st.retries) > 0 && len(st.running) == 0 && st.retries[0].due.After(ctx.Now()): // all are later
			e.Summary = fmt.Sprintf("%s to be tried again, the first in %s", instances(uint64(len(st.retries))), st.retries[0].due.Sub(ctx.Now()).Round(1e6))
		}
		reply.Stages = append(reply.Stages, e)
		out.Stages = append(out.Stages, msg.StageWant{Stage: uint32(i), Target: st.target, Plan: st.plan})
	}
	ctx.Forward(a.env.Refs.Placer, out)
}

func (a *Actor) blockers(i int) []string {
	var names []string
	for _, before := range a.plan.Stages[i].After {
		if !a.hard.StageDone(before) {
			names = append(names, "stage "+a.plan.Stages[before].Name)
		}
	}
	return names
}

func (a *Actor) explainInstance(ctx *kit.Context, st *stage, index uint64) string {
	at := st.running[index]
	switch {
	case index >= a.hard.Counts(st.number).Instances:
		return fmt.Sprintf("there is no instance %d: the stage has %d", index, a.hard.Counts(st.number).Instances)
	case a.hard.Done(st.number, index):
		return fmt.Sprintf("instance %d is done", index)
	case a.hard.Dead(st.number, index):
		return describe(a.hard.LastFailure(st.number, index)) + "; it has no attempt left"
	case at != nil:
		return fmt.Sprintf("instance %d runs on node %s, attempt %d", index, at.slot.node, at.number)
	}
	for _, r := range st.retries {
		if r.index == index && r.due.After(ctx.Now()) {
			text := fmt.Sprintf("instance %d is tried again in %s", index, r.due.Sub(ctx.Now()).Round(1e6))
			if f := a.hard.LastFailure(st.number, index); f != nil {
				text += "; " + describe(f)
			}
			return text
		}
	}
	text := fmt.Sprintf("instance %d waits for a slot", index)
	if nodes := st.avoid.Nodes(index, ctx.Now()); len(nodes) > 0 {
		text += fmt.Sprintf("; it has failed on %s, and is tried elsewhere if there is another node", join(nodes))
	}
	return text
}

func instances(n uint64) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

func join(nodes []model.NodeID) string {
	texts := make([]string, len(nodes))
	for i, n := range nodes {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

func (a *Actor) stageNumber(name string) int {
	for i := range a.plan.Stages {
		if a.plan.Stages[i].Name == name {
			return i
		}
	}
	return -1
}

func (a *Actor) noStage(name string) *model.Fault {
	var names []string
	for i := range a.plan.Stages {
		names = append(names, a.plan.Stages[i].Name)
	}
	return model.NotFound("job %s has no stage %q; it has: %s", a.id, name, strings.Join(names, ", "))
}

// results pages through the durable results of a stage; the last one if none is named.
func (a *Actor) results(ctx *kit.Context, r *v1.ResultsRequest) {
	number := len(a.stages) - 1
	if r.GetStage() != "" {
		number = a.stageNumber(r.GetStage())
	}
	switch {
	case number < 0:
		ctx.Reply(a.noStage(r.GetStage()))
		return
	case r.GetUid() != 0 && r.GetUid() != uint64(a.uid()):
		ctx.Reply(model.NotFound("job %s of uid %d is gone; the newest of that name has uid %d", a.id, r.GetUid(), a.uid()))
		return
	}
	reply := &v1.ResultsReply{Epoch: a.env.Epoch}
	size := 0
	all := a.hard.Results(number)
	first, _ := slices.BinarySearchFunc(all, r.GetFrom(), func(x model.Result, from uint64) int {
		if x.Index < from {
			return -1
		}
		return 1
	})
	for _, x := range all[first:] {
		if size > 0 && size+len(x.Data) > resultsBytesMax {
			reply.Next = x.Index
			break
		}
		size += len(x.Data) + 16
		reply.Results = append(reply.Results, &v1.InstanceResult{Index: x.Index, Data: x.Data})
	}
	ctx.Reply(reply)
}

// locate answers where the output of an instance is, as far as this master knows.
func (a *Actor) locate(ctx *kit.Context, r *v1.LogsRequest) {
	number := 0
	if r.GetStage() != "" {
		number = a.stageNumber(r.GetStage())
	}
	if number < 0 {
		ctx.Reply(a.noStage(r.GetStage()))
		return
	}
	if n := a.hard.Counts(number).Instances; r.GetIndex() >= n {
		ctx.Reply(model.NotFound("stage %s of job %s has no instance %d; it has %d", a.plan.Stages[number].Name, a.id, r.GetIndex(), n))
		return
	}
	place := &v1.LogPlace{Uid: uint64(a.uid()), Stage: uint32(number), Index: r.GetIndex()}
	if at := a.stages[number].running[r.GetIndex()]; at != nil {
		place.Node, place.Fence, place.Slot = string(at.slot.node), uint64(at.fence), uint64(at.slot.id)
	} else if p, ok := a.places.at[placeKey{number, r.GetIndex()}]; ok {
		place.Node, place.Fence, place.Slot = string(p.node), uint64(p.fence), uint64(p.slot)
	} else if f := a.hard.LastFailure(number, r.GetIndex()); f != nil {
		place.Node = f.GetNode()
	}
	ctx.Reply(place)
}

// register tells names where the instances of a service run.
func (a *Actor) register(ctx *kit.Context) {
	if a.missing || a.plan == nil || !a.plan.Service || a.mode == ended {
		return
	}
	r := &msg.Register{ID: a.id, UID: a.uid()}
	for _, st := range a.stages {
		for _, s := range a.appendInstances(nil, st) {
			if s.Phase == "running" && len(r.Endpoints) < endpointsMax {
				r.Endpoints = append(r.Endpoints, msg.Endpoint{Stage: s.Stage, Index: s.Index, Node: model.NodeID(s.Node), Fence: model.Fence(s.Fence)})
			}
		}
	}
	ctx.Tell(a.env.Refs.Names, r)
}

// places remembers where the newest attempts that ended have run, for their logs.
type places struct {
	at    map[placeKey]place
	order []placeKey
}

type placeKey struct {
	stage int
	index uint64
}

type place struct {
	node  model.NodeID
	fence model.Fence
	slot  model.SlotID
}

func (p *places) note(stage int, index uint64, node model.NodeID, fence model.Fence, slot model.SlotID) {
	if p.at == nil {
		p.at = map[placeKey]place{}
	}
	key := placeKey{stage, index}
	if _, known := p.at[key]; !known {
		if len(p.order) == placesMax {
			return // what came first is what a million instances are sampled by
		}
		p.order = append(p.order, key)
	}
	p.at[key] = place{node, fence, slot}
}
