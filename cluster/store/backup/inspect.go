package backup

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Inspector takes the frames of one backup, in order, and fails at the first that is not as it must be. Every failure is
// journal.ErrCorrupt, unless Each gave it.
type Inspector struct {
	// To stops the state at a record, 0 for the last. What comes behind it is still checked as far as it can be without.
	To uint64
	// Each is called with every record, after it was checked and, if it is part of the state, applied.
	Each func(rec *v1.Record) error

	head    *v1.BackupHead
	entries [][]byte
	loaded  bool
	state   *model.State // nil before there is one, or if the records begin in the middle
	whole   *model.State // replayed from the first record, as long as the snapshot is still to come
	chain   chain
	records uint64
	tail    *v1.BackupTail
}

// chain checks that records follow one another.
type chain struct {
	first, seq, epoch uint64
	hash              [32]byte
}

// next checks one record against the one before it.
func (c *chain) next(data []byte) (*v1.Record, error) {
	rec, hash, err := journal.DecodeRecord(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("record after record %d: %w", c.seq, err)
	case rec.GetSeq() == 0:
		return nil, fmt.Errorf("%w: a record says that it is record 0", journal.ErrCorrupt)
	case c.first == 0 && rec.GetSeq() == 1 && len(rec.GetPrev()) > 0:
		return nil, fmt.Errorf("%w: record 1 names a record before it", journal.ErrCorrupt)
	case c.first == 0:
		c.first = rec.GetSeq()
	case rec.GetSeq() != c.seq+1:
		return nil, fmt.Errorf("%w: record %d follows record %d", journal.ErrCorrupt, rec.GetSeq(), c.seq)
	case !bytes.Equal(rec.GetPrev(), c.hash[:]):
		return nil, fmt.Errorf("%w: record %d does not follow the record %d that is before it: their hashes differ", journal.ErrCorrupt, rec.GetSeq(), c.seq)
	case rec.GetEpoch() < c.epoch:
		return nil, fmt.Errorf("%w: record %d is of epoch %d, the one before it of epoch %d", journal.ErrCorrupt, rec.GetSeq(), rec.GetEpoch(), c.epoch)
	}
	c.seq, c.epoch, c.hash = rec.GetSeq(), rec.GetEpoch(), hash
	return rec, nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: backup: %w", journal.ErrCorrupt, fmt.Errorf(format, args...))
}

// Take takes the next frame.
func (i *Inspector) Take(f *v1.BackupFrame) error {
	if i.tail != nil {
		return corrupt("a frame follows the tail")
	}
	switch k := f.GetKind().(type) {
	case *v1.BackupFrame_Head:
		return i.begin(k.Head)
	case *v1.BackupFrame_Entry:
		if i.head == nil || i.records > 0 || i.head.GetSnapshotSeq() == 0 {
			return corrupt("an entry of a snapshot where none belongs")
		}
		i.entries = append(i.entries, k.Entry)
		return nil
	case *v1.BackupFrame_Record:
		return i.record(k.Record)
	case *v1.BackupFrame_Tail:
		return i.end(k.Tail)
	}
	return corrupt("a frame of a kind that this version does not know")
}

func (i *Inspector) begin(h *v1.BackupHead) error {
	switch {
	case i.head != nil:
		return corrupt("a second head")
	case h.GetFormat() != Format:
		return corrupt("it has format %d, this version knows format %d", h.GetFormat(), Format)
	case h.GetSeq() == 0 || h.GetSnapshotSeq() > h.GetSeq():
		return corrupt("its head speaks of record %d and a snapshot of record %d", h.GetSeq(), h.GetSnapshotSeq())
	case i.To > 0 && i.To > h.GetSeq():
		return fmt.Errorf("record %d is not in it: it ends with record %d", i.To, h.GetSeq())
	}
	i.head = h
	return nil
}

// snapshot loads the entries, when all are here.
func (i *Inspector) snapshot() (err error) {
	if i.loaded {
		return nil
	}
	i.loaded = true
	if seq := i.head.GetSnapshotSeq(); seq > 0 {
		i.state, err = load(seq, i.entries)
	}
	return err
}

func (i *Inspector) record(data []byte) error {
	if i.head == nil {
		return corrupt("it begins without a head")
	}
	if err := i.snapshot(); err != nil {
		return err
	}
	rec, err := i.chain.next(data)
	if err != nil {
		return err
	}
	i.records++
	if rec.GetSeq() > i.head.GetSeq() {
		return corrupt("record %d, but its head says that it ends with record %d", rec.GetSeq(), i.head.GetSeq())
	}
	if err := i.apply(rec, data); err != nil {
		return err
	}
	if i.Each != nil {
		return i.Each(rec)
	}
	return nil
}

// apply brings a record into the state. With records from the first on, and a snapshot, there are two for a while: what the
// records alone tell must be what the snapshot says.
func (i *Inspector) apply(rec *v1.Record, data []byte) error {
	seq, snapshot := rec.GetSeq(), i.head.GetSnapshotSeq()
	if i.records == 1 && seq == 1 {
		i.whole = model.NewState()
		if snapshot == 0 {
			i.state = i.whole
		}
	}
	if i.records == 1 && seq > snapshot+1 && snapshot > 0 {
		return corrupt("its records begin with record %d, its snapshot is of record %d", seq, snapshot)
	}
	if i.whole != nil && (seq <= snapshot || snapshot == 0) && !i.past(seq) {
		if err := journal.Replay(i.whole, seq, data); err != nil {
			return err
		}
	}
	switch {
	case seq == snapshot:
		return i.tie(data)
	case seq > snapshot && snapshot > 0 && !i.past(seq):
		return journal.Replay(i.state, seq, data)
	}
	return nil
}

// past reports whether a record lies behind the one at which the state stops.
func (i *Inspector) past(seq uint64) bool { return i.To > 0 && seq > i.To }

// tie checks that the snapshot belongs to the record that it ends with.
func (i *Inspector) tie(data []byte) error {
	if sha256.Sum256(data) != i.state.Head() {
		return corrupt("its snapshot of record %d is not of this journal", i.head.GetSnapshotSeq())
	}
	if i.whole != nil && i.To == 0 && i.whole.Digest() != i.state.Digest() {
		return corrupt("its snapshot of record %d is not what its records give", i.head.GetSnapshotSeq())
	}
	return nil
}

func (i *Inspector) end(t *v1.BackupTail) error {
	if i.head == nil {
		return corrupt("it begins without a head")
	}
	if err := i.snapshot(); err != nil {
		return err
	}
	switch {
	case t.GetEntries() != uint64(len(i.entries)) || t.GetRecords() != i.records:
		return corrupt("its tail counts %d entries and %d records, there are %d and %d", t.GetEntries(), t.GetRecords(), len(i.entries), i.records)
	case i.records == 0:
		return corrupt("it has no records")
	case i.chain.seq != i.head.GetSeq() || i.chain.epoch != i.head.GetEpoch():
		return corrupt("it ends with record %d of epoch %d, its head says record %d of epoch %d", i.chain.seq, i.chain.epoch, i.head.GetSeq(), i.head.GetEpoch())
	case !bytes.Equal(t.GetHead(), i.chain.hash[:]):
		return corrupt("the hash of its last record is not the one in its tail")
	}
	i.tail = t
	return nil
}

// Found is what an Inspector has seen.
type Found struct {
	Head *v1.BackupHead
	// Entries of the snapshot; First is the first record, Records how many there are.
	Entries, First, Records uint64
	// State as of the last record, or of Inspector.To. It is nil if the records begin in the middle and there is no
	// snapshot: then they were checked as a chain, and cannot be replayed.
	State *model.State
	// Replayed says that the state was also, or only, made from the very first record.
	Replayed bool
	// Raw are the entries of the snapshot, as they are.
	Raw [][]byte
}

// Found tells what was there, when the tail has come. It fails if that is not so, or if the state that was asked for
// cannot be told.
func (i *Inspector) Found() (*Found, error) {
	if i.tail == nil {
		return nil, corrupt("it ends before its tail: the end of it is missing")
	}
	f := &Found{
		Head: i.head, Entries: uint64(len(i.entries)), First: i.chain.first, Records: i.records, State: i.state, Replayed: i.whole != nil, Raw: i.entries,
	}
	if i.To > 0 && i.To < i.head.GetSnapshotSeq() {
		f.State = i.whole
	}
	if i.To > 0 && (f.State == nil || f.State.Seq() != i.To) {
		least := max(i.head.GetSnapshotSeq(), 1)
		if i.head.GetSnapshotSeq() == 0 && !f.Replayed {
			return nil, fmt.Errorf("the state at record %d cannot be told: there is no snapshot, and the records begin with record %d", i.To, f.First)
		}
		return nil, fmt.Errorf("the state at record %d cannot be told: the oldest state that is known is that of record %d", i.To, least)
	}
	return f, nil
}
