package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// endWithin is how long after the last fault the last job that can end may take.
	endWithin = 20 * time.Minute
	// stepsMax bounds each part after the faults: a world that never comes to rest is broken, too.
	stepsMax = 400_000
)

// play runs the three parts of a run.
func (w *world) play() {
	if len(w.hosts) == 0 {
		w.soon(w.beginMaster)
	}
	for _, h := range w.hosts {
		w.later(w.upTo(time.Second), h.start)
	}
	for _, m := range w.machines {
		m.restart(w.upTo(time.Second))
	}
	for range w.p.clients {
		w.clients.begin()
	}
	w.beginFaults()
	w.runFor(24*time.Hour, w.p.steps, func() bool { return w.allAsked() && w.p.focus == Calm })
	w.heal()
	w.finish()
}

// allAsked reports whether the clients have nothing more to ask for.
func (w *world) allAsked() bool { return w.load.next == len(w.load.order) && w.load.open == 0 }

// heal ends all faults, and undoes what clients have done that keeps jobs from ending.
func (w *world) heal() {
	w.part, w.faulty = healing, false
	w.say("world", "heals after %d steps", w.st.Steps())
	w.mend()
	w.undo()
	w.after(2*callWait, w.undo) // what clients have asked for may still be on its way
	w.watchOwed()
}

// undo takes back what clients have done that keeps jobs from ending.
func (w *world) undo() {
	for _, q := range queues {
		w.say("world", "queue %s: %v", q, w.load.final[q])
		w.insist(w.load.final[q])
	}
	for _, m := range w.machines {
		w.insist(&v1.DrainRequest{Id: m.id})
		if w.p.upset > 0 {
			w.insist(&v1.TaintRequest{Id: m.id})
		}
		m.restore()
	}
}

// insist asks until the answer is yes.
func (w *world) insist(call any) {
	w.clients.busy++
	w.clients.ask(call, callWait, func(_ any, err error) {
		w.clients.busy--
		if err != nil {
			w.after(time.Second, func() { w.insist(call) })
		}
	})
}

// finish lets every job come to its end and looks what is left.
func (w *world) finish() {
	if !w.runFor(endWithin/4, stepsMax/4, w.batchOver) && w.broken == nil {
		w.stopServices()
		if !w.runFor(endWithin, stepsMax, w.batchOver) {
			w.explainWaiting()
			return
		}
	}
	w.part = quiet
	w.runFor(w.settling(), stepsMax, nil)
	w.checkState()
	w.checkQuiet()
	w.checkHalves()
	w.stopAll()
	if !w.runFor(endWithin, stepsMax, w.allOver) {
		w.explainWaiting()
		return
	}
	w.checkEnds()
	w.runFor(w.settling(), stepsMax, nil)
	w.checkFree()
	w.checkEmpty()
	w.checkCounts()
	w.checkHistories()
	w.checkDamage()
}

// settling is how long views may take to agree once nothing happens any more.
func (w *world) settling() time.Duration { return 10*time.Second + 2*w.p.lost }

// mustEnd reports whether a job ends by itself.
func (j *job) mustEnd() bool {
	return j.phase == "" && (j.stop || !j.isService() && (j.work == nil || j.work.possible))
}

// batchOver reports whether every job that ends by itself has, and all requests are answered.
func (w *world) batchOver() bool {
	if w.clients.busy > 0 || w.load.open > 0 {
		return false
	}
	for _, uid := range w.truth.uids {
		if w.truth.jobs[uid].mustEnd() {
			return false
		}
	}
	return true
}

func (w *world) allOver() bool {
	for _, uid := range w.truth.uids {
		if w.truth.jobs[uid].phase == "" {
			return false
		}
	}
	return w.clients.busy == 0
}

// explainWaiting names a job that should have ended.
func (w *world) explainWaiting() {
	w.did(JobsEnd)
	if w.broken != nil {
		return
	}
	if w.clients.busy > 0 || w.load.open > 0 {
		w.fail(JobsEnd, "%d requests, %d submits of them, are not answered %v after the last fault", w.clients.busy, w.load.open, endWithin)
		return
	}
	for _, uid := range w.truth.uids {
		if j := w.truth.jobs[uid]; j.mustEnd() || w.part == quiet && j.phase == "" {
			done := 0
			for i := range j.stages {
				done += len(j.stages[i].done)
			}
			why := w.explain(j)
			check := JobsEnd
			if w.failedEverywhere(j) {
				check = AvoidanceEnds
			}
			w.fail(check, "job %d %s/%s (%v) has not ended %v after the last fault, or after %d steps; %d instances are done; %s", uid, j.queue, j.name, j.work, endWithin, stepsMax, done, why)
			return
		}
	}
	w.fail(NothingStuck, "the world does not come to rest")
}

// failedEverywhere reports whether an instance of a job has failed on the only machine that will do.
func (w *world) failedEverywhere(j *job) bool {
	if j.plan == nil {
		return false
	}
	for i := range j.stages {
		var will []string
		for _, m := range w.machines {
			if m.roomFor(&j.plan.Stages[i]) > 0 {
				will = append(will, m.id)
			}
		}
		for index, node := range j.stages[i].failedOn { //order: any
			if _, done := j.stages[i].done[index]; !done && len(will) == 1 && will[0] == node {
				return true
			}
		}
	}
	return false
}

// explain asks the cell why a job waits.
func (w *world) explain(j *job) string {
	r, err := fetch[*v1.ExplainReply](w, &v1.ExplainRequest{Queue: j.queue, Name: j.name})
	if err != nil {
		return "the cell does not say why: " + err.Error()
	}
	text := "the cell says: " + r.GetSummary()
	for _, st := range r.GetStages() {
		text += fmt.Sprintf("; stage %s: %s (wants %d, holds %d, %d nodes fit, %d go ahead)", st.GetStage(), st.GetSummary(), st.GetWantedSlots(), st.GetHeldSlots(), st.GetNodesFit(), st.GetAhead())
	}
	for _, m := range w.machines {
		text += fmt.Sprintf("; %s has %d slots", m.id, len(m.slots))
		for _, id := range sortedKeys(m.slots) {
			text += fmt.Sprintf(", one of %v", m.slots[id].truth.place)
		}
	}
	return text
}

// stopServices makes room where services hold so much for ever that other jobs must wait.
func (w *world) stopServices() {
	for _, uid := range w.truth.uids {
		if j := w.truth.jobs[uid]; j.phase == "" && j.isService() && !j.stop {
			w.insist(&v1.StopRequest{Queue: j.queue, Name: j.name, Reason: "to make room"})
		}
	}
}

// stopAll asks all jobs that live to stop.
func (w *world) stopAll() {
	for _, uid := range w.truth.uids {
		if j := w.truth.jobs[uid]; j.phase == "" {
			w.insist(&v1.StopRequest{Queue: j.queue, Name: j.name, Reason: "the world ends"})
		}
	}
}

// checkEnds compares how jobs have ended with how they had to.
func (w *world) checkEnds() {
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		w.did(JobsEnd)
		if j.work == nil || j.stop || j.spec.GetTimeLimit() != "" {
			continue
		}
		if j.repeated && j.phase == model.PhaseFailed {
			continue
		}
		w.did(EndsAsItMust)
		want := model.PhaseSucceeded
		if j.work.doomed {
			want = model.PhaseFailed
		}
		if j.phase != want {
			w.fail(EndsAsItMust, "job %d %s/%s has ended as %s, it had to be %s", uid, j.queue, j.name, j.phase, want)
		}
	}
}

var errOther = errors.New("the answer is of another kind")

// fetch asks once and runs the world until the answer is there.
func fetch[T any](w *world, call any) (T, error) {
	var none, got T
	var failed error
	over := false
	w.clients.ask(call, callWait, func(reply any, err error) {
		over, failed = true, err
		if err == nil {
			var ok bool
			if got, ok = reply.(T); !ok {
				failed = errOther
			}
		}
	})
	w.runFor(2*callWait, stepsMax, func() bool { return over })
	if failed != nil {
		return none, failed
	}
	return got, nil
}
