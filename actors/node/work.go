package node

import (
	"cmp"
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// work turns what a job wants into commands of the session.
func (a *Actor) work(ctx *kit.Context, m *msg.Work) {
	if len(m.Settle) > 0 {
		settled := &v1.Settled{Fences: make([]uint64, len(m.Settle))}
		for i, f := range m.Settle {
			settled.Fences[i] = uint64(f)
			a.settle(f)
		}
		a.push(ctx, &v1.Command{Kind: &v1.Command_Settled{Settled: settled}})
	}
	for _, s := range m.Stop {
		if sl := a.slots[s.Slot]; sl != nil && sl.job == m.ID {
			sl.stop = s.Fence
			a.push(ctx, stopCommand(sl, m.Reason))
		}
	}
	for i, id := range slices.Concat(m.Release, m.Yield) {
		if sl := a.slots[id]; sl != nil && sl.job == m.ID {
			sl.useless = i < len(m.Release)
			sl.yielded = !sl.useless
			a.release(ctx, sl, m.Reason)
		} else {
			a.batch.gone(m, id) // a job must not wait for what is gone
		}
	}
	for _, l := range m.Launch {
		sl := a.slots[l.Slot]
		if sl == nil || sl.job != m.ID || sl.releasing || l.Fence <= sl.fence {
			a.batch.lostSlot(m, l.Slot)
			continue
		}
		a.launch(ctx, sl, m, l)
	}
}

// settle forgets an end whose report is durable.
func (a *Actor) settle(f model.Fence) {
	end := a.ends[f]
	if end == nil {
		return
	}
	delete(a.ends, f)
	if sl := a.slots[model.SlotID(end.GetSlot())]; sl != nil && sl.state.GetFence() == uint64(f) {
		sl.state = nil
	}
}

func stopCommand(sl *slot, reason string) *v1.Command {
	return &v1.Command{Kind: &v1.Command_Stop{Stop: &v1.StopAttempt{Slot: uint64(sl.id), Fence: uint64(sl.stop), Reason: reason}}}
}

// release frees a slot: at once if the agent has never heard of it, else when the agent says so.
func (a *Actor) release(ctx *kit.Context, sl *slot, reason string) {
	if sl.fence == 0 || plant.Is(plant.ReleaseUnconfirmed) {
		a.remove(ctx, sl)
		return
	}
	if !sl.releasing {
		sl.releasing = true
		a.push(ctx, releaseCommand(sl.id, reason))
	}
}

func releaseCommand(id model.SlotID, reason string) *v1.Command {
	return &v1.Command{Kind: &v1.Command_Release{Release: &v1.ReleaseSlot{Slot: uint64(id), Reason: reason}}}
}

func (a *Actor) launch(ctx *kit.Context, sl *slot, m *msg.Work, l msg.Launch) {
	if a.session.open && !a.session.templates[sl.stage] {
		for _, t := range m.Templates {
			id := model.StageID{Job: model.UID(t.GetJobUid()), Stage: t.GetStage()}
			if id == sl.stage {
				a.session.templates[id] = true
				a.push(ctx, &v1.Command{Kind: &v1.Command_Template{Template: t}})
			}
		}
	}
	a.env.Tally.Started.Add(1)
	sl.over = false
	sl.fence, sl.index, sl.attempt, sl.ref, sl.state = l.Fence, l.Index, l.Attempt, m.Job, nil
	if !a.session.open {
		return // the next Hello shows that the agent does not have it, and then it is reported as lost
	}
	a.push(ctx, &v1.Command{Kind: &v1.Command_Launch{Launch: &v1.Launch{
		Slot: uint64(l.Slot), Fence: uint64(l.Fence), JobUid: uint64(sl.stage.Job), Stage: l.Stage, Index: l.Index, Attempt: l.Attempt,
		Extra: sl.extra,
	}}})
}

// push adds a command to the session. When the agent has fallen too far behind, a new session begins, in which both
// sides compare what there is.
func (a *Actor) push(ctx *kit.Context, c *v1.Command) {
	if !a.session.open {
		return
	}
	if !a.session.out.Push(c) {
		a.renew(ctx, "the agent has fallen behind")
		return
	}
	a.session.pushed++
}

func (a *Actor) sorted() []model.SlotID {
	ids := make([]model.SlotID, 0, len(a.slots))
	for id := range a.slots { //order: sorted below
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// batch gathers what one message leads to for jobs and placer, so that each gets one message.
type batch struct {
	jobs   []*jobBatch
	freeds []*msg.Freed
}

type jobBatch struct {
	id       model.JobID
	uid      model.UID
	ref      kit.Ref
	reported msg.Reported
	lost     []model.SlotID
}

func (b *batch) of(id model.JobID, uid model.UID, ref kit.Ref) *jobBatch {
	for _, j := range b.jobs {
		if j.uid == uid && j.id == id {
			if j.ref == nil {
				j.ref = ref
			}
			return j
		}
	}
	j := &jobBatch{id: id, uid: uid, ref: ref}
	b.jobs = append(b.jobs, j)
	return j
}

func (b *batch) attempt(id model.JobID, ref kit.Ref, s *v1.AttemptState) {
	j := b.of(id, model.UID(s.GetJobUid()), ref)
	j.reported.Attempts = append(j.reported.Attempts, s)
}

func (b *batch) freed(sl *slot) {
	j := b.of(sl.job, sl.stage.Job, sl.ref)
	j.reported.Freed = append(j.reported.Freed, sl.id)
	unused := 0
	if sl.useless {
		unused = 1
	}
	i := slices.IndexFunc(b.freeds, func(f *msg.Freed) bool { return f.Stage == sl.stage && f.Each == sl.each })
	if i < 0 {
		i = len(b.freeds)
		b.freeds = append(b.freeds, &msg.Freed{Stage: sl.stage, Each: sl.each})
	}
	f := b.freeds[i]
	f.Count++
	f.Unused += unused
	if sl.yielded {
		f.Yielded++
	}
	if shares := model.SharesOf(sl.extra); shares != nil {
		f.Devices = append(f.Devices, shares)
	}
}

// gone tells a job that a slot that it gives back is gone already.
func (b *batch) gone(m *msg.Work, id model.SlotID) {
	j := b.of(m.ID, m.UID, m.Job)
	j.reported.Freed = append(j.reported.Freed, id)
}

// lostSlot tells a job that a slot that it wants to use is gone.
func (b *batch) lostSlot(m *msg.Work, id model.SlotID) {
	j := b.of(m.ID, m.UID, m.Job)
	j.lost = append(j.lost, id)
}

func (b *batch) refused(sl *slot, r *v1.LaunchRefused) {
	j := b.of(sl.job, sl.stage.Job, sl.ref)
	j.reported.Refused = append(j.reported.Refused, msg.Refused{Slot: sl.id, Fence: model.Fence(r.GetFence()), Reason: r.GetReason()})
}

func (b *batch) flush(ctx *kit.Context, a *Actor) {
	for _, j := range b.jobs {
		r := j.reported
		if len(r.Attempts)+len(r.Refused)+len(r.Freed) > 0 {
			r.ID, r.UID, r.Node, r.NodeRef, r.Order = j.id, j.uid, a.id, ctx.Self(), a.env.IDs.Order()
			a.tellJob(ctx, j, &r)
		}
		if len(j.lost) > 0 {
			a.tellJob(ctx, j, &msg.SlotsLost{ID: j.id, UID: j.uid, Node: a.id, Slots: j.lost, Reason: "the node does not hold the slot"})
		}
	}
	for _, f := range b.freeds {
		f.Node = a.id
		ctx.Tell(a.env.Refs.Placer, f)
	}
	b.jobs, b.freeds = nil, nil
}

// tellJob reaches the job directly if its actor is known, else by name.
func (a *Actor) tellJob(ctx *kit.Context, j *jobBatch, m any) {
	if j.ref != nil {
		ctx.Tell(j.ref, m)
		return
	}
	ctx.Tell(a.env.Refs.Jobs, &msg.ToJob{ID: j.id, UID: j.uid, Message: m})
}

// sortedJobs groups the slots by job, in order.
func (a *Actor) sortedJobs() []jobSlots {
	var list []jobSlots
	at := map[model.UID]int{}
	for _, id := range a.sorted() {
		sl := a.slots[id]
		i, known := at[sl.stage.Job]
		if !known {
			i = len(list)
			at[sl.stage.Job] = i
			list = append(list, jobSlots{id: sl.job, uid: sl.stage.Job})
		}
		list[i].ref = sl.ref
		list[i].slots = append(list[i].slots, id)
	}
	slices.SortFunc(list, func(x, y jobSlots) int { return cmp.Compare(x.uid, y.uid) })
	return list
}

type jobSlots struct {
	id    model.JobID
	uid   model.UID
	ref   kit.Ref
	slots []model.SlotID
}
