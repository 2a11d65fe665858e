package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Journal is what a journal holds, for the judge.
type Journal struct {
	// First is its first record, Records how many there are; Whole says that it begins with the very first.
	First   uint64
	Records int
	Whole   bool
	// Submitted are the jobs by uid, Ended their phases.
	Submitted map[uint64]Submitted
	Ended     map[uint64]string
	// Forgotten are jobs that ended long ago, and that the cell knows no more; Results those of every job.
	Forgotten map[uint64]bool
	Results   map[uint64][]*v1.InstanceResult
	// Epochs are those that began, in order; Reigns when.
	Epochs []uint64
	Reigns []Reign
	// Twice are facts that are there a second time.
	Twice []string
	// Wrong is the first thing that is wrong with it as a chain of records.
	Wrong error
}

// forgot says that a job has succeeded and was forgotten since, as old jobs are.
func (j *Journal) forgot(uid uint64) bool {
	return j != nil && j.Forgotten[uid] && j.Ended[uid] == model.PhaseSucceeded
}

// trimmed says that a job was submitted before the first record that is kept, and was forgotten since: that it has ended is
// sure, as only such jobs are, but how and with what results the journal does not tell any more.
func (j *Journal) trimmed(uid uint64) bool {
	return j != nil && !j.Whole && j.Forgotten[uid] && j.Submitted[uid] == Submitted{}
}

// Submitted is one job of the journal.
type Submitted struct{ Name, Key string }

// Reign is the begin of one epoch.
type Reign struct {
	Epoch uint64
	Host  string
	At    time.Time
}

// ReadJournal reads a whole journal. It checks the chain record by record and, if nothing is trimmed, makes the state of the
// cell again from it. Damage is told in Wrong; an error says that the journal could not be read to its end.
func ReadJournal(ctx context.Context, log journal.Log) (*Journal, error) {
	first, last, err := log.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{next: first, done: map[[3]uint64]bool{}, j: &Journal{
		First: first, Whole: first == 1 && last > 0, Submitted: map[uint64]Submitted{}, Ended: map[uint64]string{},
		Forgotten: map[uint64]bool{}, Results: map[uint64][]*v1.InstanceResult{},
	}}
	if r.j.Whole {
		r.state = model.NewState()
	}
	if last == 0 {
		return r.j, nil
	}
	err = log.Read(ctx, first, func(seq uint64, data []byte) error { r.record(seq, data); return nil })
	if err == nil && r.next <= last {
		err = fmt.Errorf("%w: it ends before record %d, it had %d", journal.ErrCorrupt, r.next, last)
	}
	return r.j, err
}

// reader goes through a journal.
type reader struct {
	j     *Journal
	state *model.State // nil if the journal is not whole, or does not replay
	next  uint64
	prev  []byte
	epoch uint64
	done  map[[3]uint64]bool // uid, stage, index
}

func (r *reader) wrong(format string, args ...any) {
	if r.j.Wrong == nil {
		r.j.Wrong = fmt.Errorf(format, args...)
	}
}

func (r *reader) record(seq uint64, data []byte) {
	r.j.Records++
	if seq != r.next {
		r.wrong("record %d where record %d belongs", seq, r.next)
	}
	r.next = seq + 1
	rec, hash, err := journal.DecodeRecord(data)
	if err != nil {
		r.wrong("record %d: %w", seq, err)
		return
	}
	switch {
	case rec.GetSeq() != seq:
		r.wrong("the record stored as %d says that it is %d", seq, rec.GetSeq())
	case r.prev != nil && !bytes.Equal(rec.GetPrev(), r.prev):
		r.wrong("record %d does not follow the one before it: the hash differs", seq)
	case rec.GetEpoch() < r.epoch:
		r.wrong("record %d is of epoch %d, after epoch %d", seq, rec.GetEpoch(), r.epoch)
	case sha256.Sum256(data) != hash:
		r.wrong("record %d has another hash than its bytes", seq)
	}
	r.prev, r.epoch = hash[:], max(r.epoch, rec.GetEpoch())
	if r.state != nil {
		if err := r.state.Apply(rec, hash); err != nil {
			r.wrong("record %d contradicts the state: %w", seq, err)
			r.state = nil
		}
	}
	for _, e := range rec.GetEvents() {
		r.event(rec, e)
	}
}

func (r *reader) event(rec *v1.Record, e *v1.Event) {
	j := r.j
	switch {
	case e.GetEpochStarted() != nil:
		begun := e.GetEpochStarted()
		j.Epochs = append(j.Epochs, begun.GetEpoch())
		j.Reigns = append(j.Reigns, Reign{begun.GetEpoch(), begun.GetHost(), time.Unix(0, rec.GetTimeUnixNano())})
	case e.GetJobSubmitted() != nil:
		job := e.GetJobSubmitted()
		if _, ok := j.Submitted[job.GetUid()]; ok {
			j.Twice = append(j.Twice, fmt.Sprintf("job %d is submitted again in record %d", job.GetUid(), rec.GetSeq()))
		}
		j.Submitted[job.GetUid()] = Submitted{job.GetSpec().GetName(), job.GetKey()}
	case e.GetJobEnded() != nil:
		end := e.GetJobEnded()
		if phase, ok := j.Ended[end.GetUid()]; ok {
			j.Twice = append(j.Twice, fmt.Sprintf("job %d, which is %s, ends again as %s in record %d", end.GetUid(), phase, end.GetPhase(), rec.GetSeq()))
		}
		j.Ended[end.GetUid()] = end.GetPhase()
	case e.GetJobForgotten() != nil:
		j.Forgotten[e.GetJobForgotten().GetUid()] = true
	case e.GetJobProgressed() != nil:
		r.progressed(rec.GetSeq(), e.GetJobProgressed())
	}
}

func (r *reader) progressed(seq uint64, p *v1.JobProgressed) {
	if phase, ok := r.j.Ended[p.GetUid()]; ok {
		r.j.Twice = append(r.j.Twice, fmt.Sprintf("job %d, which is %s, makes progress in record %d", p.GetUid(), phase, seq))
	}
	r.j.Results[p.GetUid()] = append(r.j.Results[p.GetUid()], p.GetResults()...)
	for _, done := range p.GetDone() {
		for i := done.GetFrom(); i < done.GetTo(); i++ {
			at := [3]uint64{p.GetUid(), uint64(p.GetStage()), i}
			if r.done[at] {
				r.j.Twice = append(r.j.Twice, fmt.Sprintf("instance %d of job %d is done again in record %d", i, p.GetUid(), seq))
			}
			r.done[at] = true
		}
	}
}
