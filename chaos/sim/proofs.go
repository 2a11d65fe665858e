package sim

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// checkDamage damages one record of the log in every way and looks whether the replay finds out.
func (w *world) checkDamage() {
	n := len(w.disk.records)
	if w.broken != nil || n < 3 {
		return
	}
	at := w.newest.IntN(n - 1) // the record before it is good
	state := model.NewState()
	for i, data := range w.disk.records[:at] {
		if err := journal.Replay(state, uint64(i)+1, data); err != nil {
			w.fail(RecordsApply, "record %d: %v", i+1, err)
			return
		}
	}
	data, next := w.disk.records[at], w.disk.records[at+1]
	flipped := slices.Clone(data)
	flipped[w.newest.IntN(len(data))] ^= 1 << w.newest.IntN(8)
	cases := []struct {
		what string
		data []byte
	}{{"with a wrong bit", flipped}, {"cut short", data[:len(data)-1]}, {"that is missing", next}, {"with another in its place", w.disk.records[n-1-at]}}
	if at > 0 {
		cases = append(cases, struct {
			what string
			data []byte
		}{"that comes twice", w.disk.records[at-1]})
	}
	for _, c := range cases {
		if bytes.Equal(c.data, data) {
			continue
		}
		w.did(DamageFound)
		if err := journal.Replay(state, uint64(at)+1, c.data); err == nil {
			w.fail(DamageFound, "a record %s was taken for record %d", c.what, at+1)
			return
		}
	}
	w.checkUnknown(state, data)
}

// checkUnknown looks whether the replay refuses what it does not know: a kind of event, and a field, of a version to come.
func (w *world) checkUnknown(state *model.State, data []byte) {
	for _, inside := range []bool{true, false} {
		rec, _, err := journal.DecodeRecord(data)
		if err != nil {
			w.fail(RecordsApply, "%v", err)
			return
		}
		rec = proto.CloneOf(rec)
		field := protowire.AppendTag(nil, 4007, protowire.BytesType)
		field = protowire.AppendBytes(field, []byte("new"))
		if inside {
			ev := &v1.Event{}
			ev.ProtoReflect().SetUnknown(field)
			rec.Events = append(rec.Events, ev)
		} else {
			rec.ProtoReflect().SetUnknown(field)
		}
		w.did(UnknownRefused)
		sealed, _, err := journal.EncodeRecord(rec)
		if err == nil {
			err = journal.Replay(state, rec.GetSeq(), sealed)
		}
		if err == nil {
			w.fail(UnknownRefused, "record %d was replayed, though it has an event or a field that nobody knows", rec.GetSeq())
		}
	}
}

// checkCounts holds what is said of jobs that have ended against what really happened: every end counted once.
func (w *world) checkCounts() {
	for _, uid := range w.truth.uids {
		j := w.truth.jobs[uid]
		if j.forgotten || w.truth.newest(j.queue, j.name) != j || w.broken != nil {
			continue
		}
		s, err := fetch[*v1.JobStatus](w, &v1.JobRef{Queue: j.queue, Name: j.name})
		if err != nil {
			w.fail(CountsAgree, "no status of job %d: %v", uid, err)
			return
		}
		for i, st := range s.GetStages() {
			is := &j.stages[i]
			failures := 0
			for _, n := range is.failures { //order: sums
				failures += n
			}
			w.did(CountsAgree)
			c := st.GetCounts()
			if c.GetDone() != uint64(len(is.done)) || c.GetDead() != uint64(len(is.dead)) || c.GetFailedAttempts() != uint64(failures) {
				w.fail(CountsAgree, "job %d stage %d is said to have %d done, %d dead, %d failures; there are %d, %d, %d",
					uid, i, c.GetDone(), c.GetDead(), c.GetFailedAttempts(), len(is.done), len(is.dead), failures)
			}
		}
	}
}

// watched is what a master has told those who watch.
type watched struct {
	seq  uint64          // of the newest record that it told of
	told int             // events of that record
	over map[uint64]bool // jobs whose end it has told
}

// publish hears what a master tells those who watch: what is durable, in order, all of it, and of a job nothing after its
// end but that it is forgotten.
func (m *master) publish(e *v1.JobEvent) {
	w, t := m.w, &m.watched
	if !m.alive {
		return
	}
	w.did(WatchInOrder)
	if t.over == nil {
		t.over, t.seq = map[uint64]bool{}, e.GetSeq()
	}
	switch {
	case e.GetSeq() > uint64(w.disk.last()):
		w.fail(WatchInOrder, "%s of job %d is told with record %d, the log ends with record %d", e.GetKind(), e.GetUid(), e.GetSeq(), w.disk.last())
	case e.GetSeq() < t.seq:
		w.fail(WatchInOrder, "record %d is told after record %d", e.GetSeq(), t.seq)
	case t.over[e.GetUid()] && e.GetUid() != 0 && e.GetKind() != "forgotten":
		w.fail(WatchInOrder, "%s of job %d is told after its end", e.GetKind(), e.GetUid())
	case e.GetSeq() > t.seq && t.told != w.truth.tells[t.seq]:
		w.fail(WatchInOrder, "of record %d %d events are told, it has %d", t.seq, t.told, w.truth.tells[t.seq])
	}
	for seq := t.seq + 1; seq < e.GetSeq(); seq++ {
		if n := w.truth.tells[seq]; n > 0 {
			w.fail(WatchInOrder, "record %d is told after record %d, and %d events between are not", e.GetSeq(), t.seq, n)
		}
	}
	if e.GetSeq() > t.seq {
		t.seq, t.told = e.GetSeq(), 0
	}
	t.told++
	if e.GetKind() == "ended" {
		t.over[e.GetUid()] = true
	}
}

// tellsOf is how many events of a record those who watch are told.
func tellsOf(rec *v1.Record) (n int) {
	for _, ev := range rec.GetEvents() {
		switch ev.GetKind().(type) {
		case *v1.Event_JobSubmitted, *v1.Event_JobStopRequested, *v1.Event_JobProgressed, *v1.Event_InstancesEvicted,
			*v1.Event_NodeDrained, *v1.Event_NodeTainted, *v1.Event_JobEnded, *v1.Event_JobForgotten:
			n++
		}
	}
	return n
}

// stopped notes that the stop of a job is acknowledged: of what its master decides from now on no attempt may begin.
func (w *world) stopped(m *master, j *job) {
	if j == nil || j.lastFence != 0 || !j.stop && j.phase == "" {
		return
	}
	j.lastFence = model.NewID(m.epoch, m.env.IDs.Order())
}

// checkStopped looks whether an attempt begins that was decided after its job's stop was acknowledged.
func (m *machine) checkStopped(j *job, fence uint64) {
	if j.lastFence == 0 {
		return
	}
	w := m.w
	w.did(StopIsStop)
	if fence > j.lastFence {
		w.fail(StopIsStop, "%s begins attempt %d of job %d, whose stop was acknowledged before that was decided", m.id, fence, j.uid)
	}
}

// actorsMax is how many actors a process may have beside one for each of what it has in hand.
const actorsMax = 20

// checkBounds looks whether mailboxes keep to their limits, and whether actors go when what they were for is over.
func (w *world) checkBounds(m *master) {
	w.did(Bounded)
	most := actorsMax + len(queues) + len(w.machines) + w.limits.EndedJobs + len(w.truth.uids)
	if n := m.sys.Stats().Actors; n > most {
		w.fail(Bounded, "the master of epoch %d has %d actors, %d is the most there is a reason for", m.epoch, n, most)
	}
	if n := len(w.disk.shelf.gens); n > 2 {
		w.fail(Bounded, "%d snapshots are kept", n)
	}
	if kept := uint64(w.disk.last()) + 1 - w.disk.first; w.p.focus == Calm && kept > 4*w.p.snapshotRecords+200 {
		w.fail(Bounded, "%d records are kept, with a snapshot every %d", kept, w.p.snapshotRecords)
	}
}
