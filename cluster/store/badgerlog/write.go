package badgerlog

import (
	"cmp"
	"fmt"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
)

// entry is an append whose done has not been called.
type entry struct {
	seq  uint64
	data []byte
	done func(error)
	// err is set on an append that was refused; it waits in line all the same, so that done is called in order.
	err error
}

// Append implements journal.Log.
func (l *Log) Append(seq uint64, data []byte, done func(error)) {
	l.mu.Lock()
	if l.gone {
		l.mu.Unlock()
		done(journal.ErrClosed)
		return
	}
	defer l.mu.Unlock()
	switch {
	case l.refused != nil:
	case l.closed:
		l.refused = journal.ErrClosed
	case seq != l.last+1:
		l.refused = fmt.Errorf("%w: append of record %d, but the log ends with record %d", journal.ErrFenced, seq, l.last)
	case len(data) == 0 || len(data) > journal.MaxRecord:
		l.refused = fmt.Errorf("append of record %d: it has %d bytes, it must have from 1 to %d", seq, len(data), journal.MaxRecord)
	case len(l.waiting) >= journal.MaxInFlight:
		l.refused = fmt.Errorf("append of record %d: %d appends are waiting, which is the most", seq, len(l.waiting))
	default:
		l.last = seq
	}
	l.waiting = append(l.waiting, entry{seq: seq, data: data, done: done, err: l.refused})
	l.wake.Signal()
}

// write is the one writer: it takes what waits, brings it to disk together, answers, and looks again. After a failure
// it stores nothing more.
func (l *Log) write() {
	defer close(l.ended)
	var broken error
	for group := l.next(); len(group) > 0; group = l.next() {
		sound := group
		for i, e := range group {
			if e.err != nil {
				sound = group[:i]
				break
			}
		}
		if broken == nil && len(sound) > 0 {
			broken = l.store(sound)
		}
		for _, e := range group {
			e.done(cmp.Or(broken, e.err))
		}
	}
}

// next takes the entries of one write, waiting for the first of them. It returns none when the log is closed and all
// are answered.
func (l *Log) next() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 {
		if l.closed {
			l.gone = true
			return nil
		}
		l.wake.Wait()
	}
	n, size := 1, len(l.waiting[0].data)
	for n < len(l.waiting) && size+len(l.waiting[n].data) <= groupMax {
		size += len(l.waiting[n].data)
		n++
	}
	group := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return group
}

// store brings records to disk.
func (l *Log) store(group []entry) error {
	err := l.db.Write(func(b *badgerdb.Batch) error {
		for _, e := range group {
			if err := b.SetLong(key(e.seq), e.data); err != nil {
				return err
			}
		}
		return nil
	})
	last := group[len(group)-1].seq
	if err == nil {
		err = l.mark.write(last)
	}
	if err != nil {
		return fmt.Errorf("badgerlog: records %d to %d: %w", group[0].seq, last, portError(err))
	}
	l.mu.Lock()
	l.durable = last
	l.mu.Unlock()
	return nil
}

// Close implements journal.Log. What was appended before is still brought to disk and answered.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	<-l.ended
	return l.mark.close()
}
