package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
)

// LogStore is what RunLog needs to know of one kind of log: how to reach one place where records are kept.
type LogStore struct {
	// Open opens the log, as a process does at its start. The suite closes it before it opens it again.
	Open func() (journal.Log, error)
	// Second opens the log as another master while the first has it open; nil if the store keeps a second out, and then
	// a second Open must fail.
	Second func() (journal.Log, error)
	// Remove takes record seq away behind the back of the closed log; nil if the store's own tools cannot.
	Remove func(t *testing.T, seq uint64)
	// Flip changes one bit on disk of the closed log, in record seq; nil if there is no disk.
	Flip func(t *testing.T, seq uint64)
	// Small opens another, empty log in which there is little room; nil if the size of the log cannot be limited here,
	// with the reason why in NotSmall. NoRoomByTrim says that a trim makes room only later.
	Small        func(t *testing.T) journal.Log
	NotSmall     string
	NoRoomByTrim bool
}

// RunLog is the conformance suite of journal.Log. newStore makes a place of its own for each test.
func RunLog(t *testing.T, newStore func(t *testing.T) LogStore) {
	for _, test := range []struct {
		name string
		run  func(l *logTest)
	}{
		{"Empty", (*logTest).empty},
		{"B14_AppendReadReopen", (*logTest).appendRead},
		{"B14_Pipelined", (*logTest).pipelined},
		{"Sizes", (*logTest).sizes},
		{"WrongSequence", (*logTest).wrongSequence},
		{"S5_Fenced", (*logTest).fenced},
		{"S5_TwoMastersInTurn", (*logTest).inTurn},
		{"Trim", (*logTest).trim},
		{"ReadStops", (*logTest).readStops},
		{"ReadBesideAppendAndTrim", (*logTest).readBeside},
		{"B30_Tail", (*logTest).tailing},
		{"TailStops", (*logTest).tailStops},
		{"S5_TailTrimmed", (*logTest).tailTrimmed},
		{"B30_TailOfAnotherMaster", (*logTest).tailForeign},
		{"S5_Gap", (*logTest).gap},
		{"S5_FlippedBit", (*logTest).flip},
		{"Full", (*logTest).full},
		{"Closed", (*logTest).closed},
		{"TooManyInFlight", (*logTest).inFlight},
		{"F30_RecoverAtEveryPrefix", (*logTest).recover},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			l := &logTest{T: t, ctx: ctx, store: newStore(t)}
			defer l.close() // before what the store has put up for the test comes down
			l.open()
			test.run(l)
		})
	}
}

// logTest is one test with its log open.
type logTest struct {
	*testing.T
	ctx   context.Context
	store LogStore
	log   journal.Log // nil when closed
}

func (l *logTest) open() {
	l.Helper()
	log, err := l.store.Open()
	if err != nil {
		l.Fatalf("open: %v", err)
	}
	l.log = log
}

func (l *logTest) close() {
	l.Helper()
	if l.log == nil {
		return
	}
	log := l.log
	l.log = nil
	if err := log.Close(); err != nil {
		l.Fatalf("close: %v", err)
	}
}

// reopen is the restart of a process.
func (l *logTest) reopen() {
	l.Helper()
	l.close()
	l.open()
}

// data is what the suite stores as record seq.
func data(seq uint64, writer string) []byte {
	return fmt.Appendf(nil, "record %d of %s%*s", seq, writer, seq%97, "")
}

// append stores records from to to (inclusive), pipelined, and returns the answers in the order in which they came.
func appendAll(ctx context.Context, t testing.TB, log journal.Log, from, to uint64, make func(seq uint64) []byte) []error {
	t.Helper()
	type answer struct {
		seq uint64
		err error
	}
	answers := newQueue[answer]()
	for seq := from; seq <= to; seq++ {
		log.Append(seq, make(seq), func(err error) { answers.put(answer{seq, err}) })
	}
	errs := []error(nil)
	for want := from; want <= to; want++ {
		a, err := answers.take(ctx)
		if err != nil {
			t.Fatalf("append of record %d is not answered: %v", want, err)
		}
		if a.seq != want {
			t.Fatalf("append of record %d is answered before that of %d", a.seq, want)
		}
		errs = append(errs, a.err)
	}
	if n := answers.len(); n != 0 {
		t.Fatalf("%d appends are answered twice", n)
	}
	return errs
}

func (l *logTest) mustAppend(from, to uint64) {
	l.Helper()
	for i, err := range appendAll(l.ctx, l, l.log, from, to, func(seq uint64) []byte { return data(seq, "a") }) {
		if err != nil {
			l.Fatalf("append of record %d: %v", from+uint64(i), err)
		}
	}
}

// append1 appends one record and returns its answer.
func (l *logTest) append1(log journal.Log, seq uint64, d []byte) error {
	l.Helper()
	return appendAll(l.ctx, l, log, seq, seq, func(uint64) []byte { return d })[0]
}

func (l *logTest) wantBounds(first, last uint64) {
	l.Helper()
	f, n, err := l.log.Bounds(l.ctx)
	if err != nil || f != first || n != last {
		l.Fatalf("bounds %d to %d, %v; want %d to %d", f, n, err, first, last)
	}
}

// wantRecords reads from a record on and compares with what writer has stored.
func (l *logTest) wantRecords(from, last uint64, want func(seq uint64) []byte) {
	l.Helper()
	next := from
	err := l.log.Read(l.ctx, from, func(seq uint64, d []byte) error {
		if seq != next {
			return fmt.Errorf("record %d where record %d belongs", seq, next)
		}
		if !bytes.Equal(d, want(seq)) {
			return fmt.Errorf("record %d is %.60q, want %.60q", seq, d, want(seq))
		}
		next++
		return nil
	})
	if err != nil || next != last+1 {
		l.Fatalf("read from %d ends before record %d, %v; want it to read to %d", from, next, err, last)
	}
}

func byA(seq uint64) []byte { return data(seq, "a") }

func (l *logTest) empty() {
	l.wantBounds(1, 0)
	l.wantRecords(1, 0, byA)
	l.reopen()
	l.wantBounds(1, 0)
	if err := l.log.Trim(l.ctx, 5); err != nil {
		l.Fatalf("trim of an empty log: %v", err)
	}
	l.wantBounds(1, 0)
}

func (l *logTest) appendRead() {
	for seq := uint64(1); seq <= 20; seq++ {
		l.mustAppend(seq, seq)
	}
	l.wantBounds(1, 20)
	l.wantRecords(1, 20, byA)
	l.wantRecords(13, 20, byA)
	l.wantRecords(20, 20, byA)
	l.wantRecords(21, 20, byA)
	l.reopen()
	l.wantBounds(1, 20)
	l.wantRecords(1, 20, byA)
	l.mustAppend(21, 25)
	l.wantRecords(1, 25, byA)
}

func (l *logTest) pipelined() {
	l.mustAppend(1, 1000)
	l.wantBounds(1, 1000)
	l.wantRecords(1, 1000, byA)
	l.reopen()
	l.wantRecords(1, 1000, byA)
}

func (l *logTest) sizes() {
	sizes := []int{1, 2, 1000, 256 << 10, 512<<10 - 1, 512 << 10, 512<<10 + 1, 1 << 20, 1<<20 + 1, journal.MaxRecord - 1, journal.MaxRecord, 1}
	record := func(seq uint64) []byte { return bytes.Repeat([]byte{byte(seq)}, sizes[seq-1]) }
	for _, err := range appendAll(l.ctx, l, l.log, 1, uint64(len(sizes)), record) {
		if err != nil {
			l.Fatal(err)
		}
	}
	l.wantRecords(1, uint64(len(sizes)), record)
	l.reopen()
	l.wantRecords(1, uint64(len(sizes)), record)
	if err := l.append1(l.log, uint64(len(sizes))+1, make([]byte, journal.MaxRecord+1)); err == nil {
		l.Fatal("a record beyond MaxRecord is stored")
	}
	l.wantBounds(1, uint64(len(sizes)))
}

func (l *logTest) wrongSequence() {
	l.mustAppend(1, 5)
	for _, seq := range []uint64{7, 5, 1, 0, 1 << 63} {
		if err := l.append1(l.log, seq, data(seq, "a")); !errors.Is(err, journal.ErrFenced) {
			l.Fatalf("append of record %d after 5: %v, want %v", seq, err, journal.ErrFenced)
		}
		// After one failure all later ones fail, the right one, too.
		if err := l.append1(l.log, 6, data(6, "a")); !errors.Is(err, journal.ErrFenced) {
			l.Fatalf("append of record 6 after a failure: %v, want %v", err, journal.ErrFenced)
		}
		l.wantRecords(1, 5, byA)
		l.reopen()
	}
	l.mustAppend(6, 6)
}

func (l *logTest) trim() {
	l.mustAppend(1, 30)
	if err := l.log.Trim(l.ctx, 11); err != nil {
		l.Fatal(err)
	}
	first, last, err := l.log.Bounds(l.ctx)
	if err != nil || first > 11 || last != 30 {
		l.Fatalf("bounds %d to %d, %v after a trim to 11", first, last, err)
	}
	l.wantRecords(first, 30, byA)
	if first > 1 {
		if err := l.log.Read(l.ctx, first-1, func(uint64, []byte) error { return nil }); !errors.Is(err, journal.ErrCorrupt) {
			l.Fatalf("read of a trimmed record: %v, want %v", err, journal.ErrCorrupt)
		}
	}
	l.mustAppend(31, 32)
	for range 3 { // the last record stays, whatever is asked for
		if err := l.log.Trim(l.ctx, 1<<62); err != nil {
			l.Fatal(err)
		}
	}
	l.wantRecords(32, 32, byA)
	l.reopen()
	l.wantRecords(32, 32, byA)
	l.mustAppend(33, 40)
	l.wantRecords(32, 40, byA)
	if err := l.log.Trim(l.ctx, 1); err != nil {
		l.Fatalf("trim of what was trimmed: %v", err)
	}
}

func (l *logTest) readStops() {
	l.mustAppend(1, 20)
	stop := errors.New("stop")
	n := 0
	err := l.log.Read(l.ctx, 1, func(uint64, []byte) error {
		if n++; n == 7 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 7 {
		l.Fatalf("read goes on after %d records: %v", n, err)
	}
	ctx, cancel := context.WithCancel(l.ctx)
	cancel()
	if err := l.log.Read(ctx, 1, func(uint64, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		l.Fatalf("read without a context: %v", err)
	}
}

func (l *logTest) readBeside() {
	l.mustAppend(1, 10)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 10 {
				first, _, err := l.log.Bounds(l.ctx)
				if err != nil {
					l.Error(err)
				}
				// A trim may come between; what is read must be right all the same.
				err = l.log.Read(l.ctx, first, func(seq uint64, d []byte) error {
					if !bytes.Equal(d, byA(seq)) {
						return fmt.Errorf("record %d is %q", seq, d)
					}
					return nil
				})
				if err != nil && !errors.Is(err, journal.ErrCorrupt) {
					l.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for seq := uint64(10); seq <= 200; seq += 10 {
			if err := l.log.Trim(l.ctx, seq); err != nil {
				l.Error(err)
			}
		}
	})
	l.mustAppend(11, 300)
	wg.Wait()
	first, _, err := l.log.Bounds(l.ctx)
	if err != nil {
		l.Fatal(err)
	}
	l.wantRecords(first, 300, byA)
}

func (l *logTest) closed() {
	l.mustAppend(1, 3)
	log := l.log
	l.close()
	if err := l.append1(log, 4, byA(4)); !errors.Is(err, journal.ErrClosed) {
		l.Fatalf("append: %v", err)
	}
	if _, _, err := log.Bounds(l.ctx); !errors.Is(err, journal.ErrClosed) {
		l.Fatalf("bounds: %v", err)
	}
	if err := log.Read(l.ctx, 1, func(uint64, []byte) error { return nil }); !errors.Is(err, journal.ErrClosed) {
		l.Fatalf("read: %v", err)
	}
	if err := log.Trim(l.ctx, 2); !errors.Is(err, journal.ErrClosed) {
		l.Fatalf("trim: %v", err)
	}
	if err := log.Close(); err != nil {
		l.Fatalf("close again: %v", err)
	}
}

// inFlight shows that what is appended is answered, in order, however much of it there is at once.
func (l *logTest) inFlight() {
	failed := false
	for i, err := range appendAll(l.ctx, l, l.log, 1, 2*journal.MaxInFlight, byA) {
		if i < journal.MaxInFlight && err != nil {
			l.Fatalf("append %d of %d is refused: %v", i+1, journal.MaxInFlight, err)
		}
		if failed && err == nil {
			l.Fatalf("append %d succeeds after one before it has failed", i+1)
		}
		failed = failed || err != nil
	}
}
