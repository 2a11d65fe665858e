package queue

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/backfill"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// setSpec takes over a spec that is durable, and tells the placer what it promises.
func (a *Actor) setSpec(ctx *kit.Context, spec *v1.QueueSpec) {
	a.spec = spec
	plan, problems := model.CompileQueue(spec)
	if len(problems) > 0 { // it was checked when it came; another version of the program may have been more generous
		ctx.Log().Error("queue spec not understood; its quota, order and score are left out", "queue", a.name, "field", problems[0].GetField(),
			"problem", problems[0].GetProblem())
		plan = &model.QueuePlan{Name: a.name}
	}
	a.plan = plan
	a.tellShare(ctx)
}

// tellShare tells the placer what the queue is promised.
func (a *Actor) tellShare(ctx *kit.Context) {
	if a.plan != nil && !a.removed {
		ctx.Tell(a.env.Refs.Placer, &msg.QueueShare{Queue: a.name, Plan: a.plan})
	}
}

// demandOf is what the placer hears of one stage.
func (a *Actor) demandOf(e *entry, s msg.StageWant, target uint64) *msg.Demand {
	d := &msg.Demand{
		Stage: model.StageID{Job: e.uid, Stage: s.Stage}, ID: e.want.ID, Job: e.want.Job, Priority: e.want.Priority,
		Target: target, Plan: s.Plan, Avoid: s.Avoid,
	}
	if plan := e.want.Plan; plan != nil {
		d.Labels = e.labels(plan)
		d.Estimate = s.Plan.Duration
		d.Predicted = a.predict(plan, s.Plan)
		e.remember(s, d.Predicted)
	}
	return d
}

// labels are those of the job, sorted; made once.
func (e *entry) labels(plan *model.Plan) []model.Label {
	if from := plan.Spec.GetLabels(); e.sorted == nil && len(from) > 0 {
		e.sorted = model.SortedLabels(from)
	}
	return e.sorted
}

// predict tells how long a run of a stage will take by its owner's past runs; 0 if nobody can tell.
func (a *Actor) predict(plan *model.Plan, stage *model.StagePlan) time.Duration {
	if plan.Service {
		return 0
	}
	ms := a.past.Predict(a.method(), pastOf(plan, stage), stated(stage))
	if ms == backfill.Never {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// method is how the queue predicts.
func (a *Actor) method() backfill.Method {
	switch {
	case a.plan != nil && a.plan.Predict == model.PredictRecent:
		return backfill.Recent
	case a.plan != nil && a.plan.Predict == model.PredictStated:
		return backfill.Stated
	}
	return backfill.Learned
}

// learn notes how long the stages of an ended job ran.
func (a *Actor) learn(ctx *kit.Context, e *entry, runs []msg.StageRun) {
	if e.want == nil || e.want.Plan == nil || e.want.Plan.Service {
		return
	}
	for _, r := range runs {
		if plan := e.want.Plan; int(r.Stage) < len(plan.Stages) {
			stage := &plan.Stages[r.Stage]
			a.past.Learn(pastOf(plan, stage), r.Mean.Milliseconds())
			if a.method().Renews() {
				a.renew(ctx, plan.Owner, pastOf(plan, stage))
			}
		}
	}
}

// pastOf names what is alike: the runs of one stage of one owner.
func pastOf(plan *model.Plan, stage *model.StagePlan) string { return plan.Owner + "/" + stage.Name }

// stated is the duration that a stage names, in milliseconds.
func stated(stage *model.StagePlan) int64 {
	if stage.Duration <= 0 {
		return backfill.Never
	}
	return max(stage.Duration.Milliseconds(), 1)
}

// amounts writes amounts by name.
func amounts(named []model.Amount) *v1.Amounts {
	m := &v1.Amounts{}
	for _, n := range named {
		switch n.Name {
		case model.ResourceNames[model.CPU]:
			m.CpuMilli = n.N
		case model.ResourceNames[model.Memory]:
			m.MemoryBytes = n.N
		case model.ResourceNames[model.Disk]:
			m.DiskBytes = n.N
		case model.ResourceNames[model.Net]:
			m.NetBps = n.N
		default:
			if m.Custom == nil {
				m.Custom = map[string]int64{}
			}
			m.Custom[n.Name] = n.N
		}
	}
	return m
}
