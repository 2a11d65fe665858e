package journaltest

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
)

// second opens the log as another master, or shows that the store keeps it out.
func (l *logTest) second() journal.Log {
	l.Helper()
	if l.store.Second == nil {
		if log, err := l.store.Open(); err == nil {
			log.Close()
			l.Fatal("a second master opens a log that only one may have")
		}
		return nil
	}
	log, err := l.store.Second()
	if err != nil {
		l.Fatalf("a second master cannot open the log: %v", err)
	}
	return log
}

func (l *logTest) fenced() {
	l.mustAppend(1, 10)
	b := l.second()
	if b == nil {
		return
	}
	if err := l.append1(b, 11, data(11, "b")); err != nil {
		l.Fatalf("the new master: %v", err)
	}
	for i, err := range appendAll(l.ctx, l, l.log, 11, 20, byA) {
		if !errors.Is(err, journal.ErrFenced) {
			l.Fatalf("record %d of the deposed master: %v, want %v", 11+i, err, journal.ErrFenced)
		}
	}
	// Not even a sequence that would be right now is taken from it any more.
	if err := l.append1(l.log, 12, byA(12)); !errors.Is(err, journal.ErrFenced) {
		l.Fatalf("the deposed master goes on: %v", err)
	}
	if err := b.Close(); err != nil {
		l.Fatal(err)
	}
	want := func(seq uint64) []byte {
		if seq == 11 {
			return data(11, "b")
		}
		return byA(seq)
	}
	l.wantRecords(1, 11, want)
	l.reopen()
	l.wantRecords(1, 11, want)
}

// inTurn has masters take over from each other, each without waiting for the other to notice.
func (l *logTest) inTurn() {
	if l.store.Second == nil {
		l.Skip("the store keeps a second master out")
	}
	logs := []journal.Log{l.log, nil}
	for turn := range 6 {
		mine, other := turn%2, (turn+1)%2
		if turn > 0 {
			log, err := l.store.Second()
			if err != nil {
				l.Fatal(err)
			}
			logs[mine] = log
		}
		state, err := journal.Recover(l.ctx, logs[mine], nil)
		if err != nil {
			l.Fatalf("turn %d: %v", turn, err)
		}
		epoch, err := journal.Begin(l.ctx, logs[mine], state, fmt.Sprint("host", turn), time.Unix(int64(turn), 0))
		if err != nil || epoch != uint64(turn+1) {
			l.Fatalf("turn %d begins epoch %d, %v", turn, epoch, err)
		}
		if turn == 0 {
			continue
		}
		if err := l.append1(logs[other], state.Seq(), data(1, "zombie")); !errors.Is(err, journal.ErrFenced) {
			l.Fatalf("turn %d: the deposed master writes on: %v", turn, err)
		}
		if err := logs[other].Close(); err != nil {
			l.Fatal(err)
		}
	}
	l.log = logs[1]
	if state, err := journal.Recover(l.ctx, l.log, nil); err != nil || state.Epoch() != 6 || state.Seq() != 6 {
		l.Fatalf("epoch %d, record %d, %v; want 6 of each", state.Epoch(), state.Seq(), err)
	}
}
