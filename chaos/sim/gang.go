package sim

import (
	"time"

	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// gang is the first launch of a stage whose instances start together.
type gang struct {
	uid   uint64
	stage uint32
	at    time.Time
	n     int
}

// gangLaunch counts what is launched of a gang at the moment in which the first is: the job does that in one go.
func (t *truth) gangLaunch(uid uint64, l msg.Launch) {
	j := t.jobs[uid]
	if j == nil || j.plan == nil || !j.plan.Stages[l.Stage].Gang {
		return
	}
	st, now := &j.stages[l.Stage], t.w.st.Now()
	if st.gang == nil {
		if want := j.plan.Stages[l.Stage].Instances; t.w.checksGangs() && t.granted[stageOf{uid, l.Stage}] < want {
			t.w.fail(GangTogether, "the gang of job %d stage %d is launched with %d of %d slots", uid, l.Stage, t.granted[stageOf{uid, l.Stage}], want)
		}
		st.gang = &gang{uid: uid, stage: l.Stage, at: now}
		t.gangs = append(t.gangs, st.gang)
	}
	if st.gang.at.Equal(now) {
		st.gang.n++
	}
}

// stageOf names a stage.
type stageOf struct {
	uid   uint64
	stage uint32
}

// checksGangs reports whether no process stands still between what is said and what is heard, and none dies of it.
func (w *world) checksGangs() bool {
	return w.p.focus == Calm || w.p.focus == Agents || w.p.focus == Network
}

// checkGangs looks, when a moment is over, whether the gangs that began in it began whole.
func (t *truth) checkGangs() {
	w := t.w
	for _, g := range t.gangs {
		if !w.checksGangs() {
			break
		}
		w.did(GangTogether)
		if want := int(t.jobs[g.uid].plan.Stages[g.stage].Instances); g.n < want {
			w.fail(GangTogether, "of the gang of job %d stage %d, %d of %d instances are launched alone", g.uid, g.stage, g.n, want)
		}
	}
	t.gangs = t.gangs[:0]
}

// checkHalves looks, once quiet, whether a gang holds a part of its slots for longer than it says.
func (w *world) checkHalves() {
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		for i := range j.stages {
			if j.phase == "" && j.plan != nil && j.plan.Stages[i].Gang && w.broken == nil {
				w.checkHalf(j, i)
			}
		}
	}
}

func (w *world) checkHalf(j *job, stage int) {
	plan := &j.plan.Stages[stage]
	w.did(GangWhole)
	half := func() bool {
		s, err := fetch[*v1.JobStatus](w, &v1.JobRef{Queue: j.queue, Name: j.name})
		if err != nil || s.GetUid() != j.uid || j.phase != "" || len(s.GetStages()) <= stage {
			return false
		}
		c := s.GetStages()[stage].GetCounts()
		return c.GetSlots() > 0 && c.GetSlots() < plan.Instances && c.GetRunning()+c.GetDone() == 0
	}
	for until := w.st.Now().Add(2*plan.GangHold + 20*time.Second); half() && w.broken == nil; w.runFor(time.Second, stepsMax, nil) {
		if w.st.Now().After(until) {
			w.fail(GangWhole, "the gang of job %d stage %d holds a part of its slots for more than %v", j.uid, stage, 2*plan.GangHold)
		}
	}
}
