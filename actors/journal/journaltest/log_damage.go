package journaltest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/model"
)

// chain stores n records of a real journal, one epoch a record.
func (l *logTest) chain(n int) *model.State {
	l.Helper()
	state := model.NewState()
	for i := range n {
		if _, err := journal.Begin(l.ctx, l.log, state, fmt.Sprint("host", i+1), time.Unix(int64(i), 0)); err != nil {
			l.Fatal(err)
		}
	}
	return state
}

// wantCorrupt shows that the log does not open, or that recovery does not believe it.
func (l *logTest) wantCorrupt(seq uint64) {
	l.Helper()
	log, err := l.store.Open()
	if err != nil {
		l.Log(err)
		return
	}
	l.log = log
	_, err = journal.Recover(l.ctx, log, nil)
	if !errors.Is(err, journal.ErrCorrupt) {
		l.Fatalf("record %d is damaged, and recovery says %v; want %v", seq, err, journal.ErrCorrupt)
	}
	l.Log(err)
}

func (l *logTest) gap() {
	if l.store.Remove == nil {
		l.Skip("the store's own tools cannot remove a record in the middle")
	}
	l.chain(20)
	l.close()
	l.store.Remove(l.T, 9)
	l.wantCorrupt(9)
}

func (l *logTest) flip() {
	if l.store.Flip == nil {
		l.Skip("there is no disk")
	}
	l.chain(20)
	l.close()
	l.store.Flip(l.T, 9)
	l.wantCorrupt(9)
}

func (l *logTest) full() {
	if l.store.Small == nil {
		l.Skip(l.store.NotSmall)
	}
	l.close()
	l.log = l.store.Small(l.T)
	const size, most = 256 << 10, 4000
	record := func(seq uint64) []byte { return Noise(seq, size) }
	seq := uint64(1)
	for ; ; seq++ {
		err := l.append1(l.log, seq, record(seq))
		if err != nil {
			if !errors.Is(err, journal.ErrFull) {
				l.Fatalf("record %d into a full log: %v, want %v", seq, err, journal.ErrFull)
			}
			break
		}
		if seq == most {
			l.Fatalf("%d MiB went into the small log", size*most>>20)
		}
	}
	if seq < 3 {
		l.Fatalf("the log was full at record %d, there is nothing to show", seq)
	}
	// What was sent behind it before its answer was heard does not slip in, and nothing of any of it is there.
	for i, err := range appendAll(l.ctx, l, l.log, seq, seq+4, record) {
		if !errors.Is(err, journal.ErrFull) {
			l.Fatalf("record %d into the full log: %v, want %v", seq+uint64(i), err, journal.ErrFull)
		}
	}
	l.wantBounds(1, seq-1)
	l.wantRecords(1, seq-1, record)
	l.roomAgain(seq, record)
}

// roomAgain shows that a log that was full goes on where it stopped, by itself, as soon as there is room.
func (l *logTest) roomAgain(seq uint64, record func(uint64) []byte) {
	if l.store.NoRoomByTrim {
		return
	}
	if err := l.log.Trim(l.ctx, seq-1); err != nil {
		l.Fatal(err)
	}
	for i, err := range appendAll(l.ctx, l, l.log, seq, seq+2, record) {
		if err != nil {
			l.Fatalf("record %d when there is room again: %v", seq+uint64(i), err)
		}
	}
	l.wantRecords(seq-1, seq+2, record)
}

// Noise is n bytes that no compression makes fewer, always the same for one seed.
func Noise(seed uint64, n int) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

// recover shows that every snapshot with its tail in this log is the state of the whole log, byte for byte.
func (l *logTest) recover() {
	type drawn struct {
		stored []Stored
		state  *model.State
	}
	d := rapid.Custom(func(t *rapid.T) drawn {
		stored, state := Draw(t, 30)
		return drawn{stored, state}
	}).Filter(func(d drawn) bool { return len(d.stored) >= 10 }).Example(7)
	n := uint64(len(d.stored))
	for _, err := range appendAll(l.ctx, l, l.log, 1, n, func(seq uint64) []byte { return d.stored[seq-1].Data }) {
		if err != nil {
			l.Fatal(err)
		}
	}
	l.reopen()
	prefix := model.NewState()
	for cut := uint64(0); cut <= n; cut++ {
		if cut > 0 {
			if err := journal.Replay(prefix, cut, d.stored[cut-1].Data); err != nil {
				l.Fatal(err)
			}
			if err := l.log.Trim(l.ctx, cut); err != nil {
				l.Fatal(err)
			}
		}
		state, err := journal.Recover(l.ctx, l.log, snapshotOf(prefix))
		if err != nil {
			l.Fatalf("recover from the snapshot of record %d: %v", cut, err)
		}
		if state.Digest() != d.state.Digest() {
			l.Fatalf("the snapshot of record %d and its tail differ from the whole", cut)
		}
	}
	if first, _, err := l.log.Bounds(l.ctx); err != nil {
		l.Fatal(err)
	} else if first > 1 {
		if _, err := journal.Recover(l.ctx, l.log, nil); !errors.Is(err, journal.ErrCorrupt) {
			l.Fatalf("recover from a trimmed log without a snapshot: %v, want %v", err, journal.ErrCorrupt)
		}
	}
}

// fixed is a store of one snapshot.
type fixed struct{ state *model.State }

func snapshotOf(s *model.State) journal.Snapshots { return fixed{s} }

func (f fixed) Save(context.Context, uint64, [][]byte) error { return errors.ErrUnsupported }
func (f fixed) Kept(context.Context) ([]uint64, error)       { return []uint64{f.state.Seq()}, nil }
func (f fixed) Load(context.Context) (uint64, [][]byte, error) {
	if f.state.Seq() == 0 {
		return 0, nil, nil
	}
	return f.state.Seq(), f.state.Entries(), nil
}
func (f fixed) Close() error { return nil }
