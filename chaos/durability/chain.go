package durability

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/chaos/pause"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// tip is the end of a chain: the last record and its hash. The zero tip is the beginning.
type tip struct {
	seq  uint64
	hash [32]byte
}

// mark is what is remembered of an acknowledged record: as its hash covers all before it, marks pin the whole chain.
type mark struct {
	seq  uint64
	hash uint64
}

const markSize = 16

func (t tip) mark() mark { return mark{t.seq, binary.BigEndian.Uint64(t.hash[:])} }

func (m mark) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, markSize), m.seq), m.hash)
}

func decodeMark(b []byte) mark {
	return mark{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// writer appends one chain of records. Two writers of one place in the log write different records.
type writer struct {
	log   journal.Log
	epoch uint64
	tip   tip
	// window is how many appends are under way at most, rate how many begin in a second; 0 means as many as can.
	window, rate int
	// acked is called for each record that was acknowledged, in order.
	acked func(tip)
}

// run appends until ctx ends or an append fails, and waits for the answers that are due. It returns why an append failed;
// nil if none did.
func (w *writer) run(ctx context.Context) error {
	var (
		room   = make(chan struct{}, w.window)
		random = rand.New(rand.NewPCG(w.epoch, w.tip.seq))
		failed = make(chan struct{})
		once   sync.Once
		first  error
	)
	bucket := bucket{rate: w.rate, most: w.window, filled: time.Now()}
	for over := false; !over; {
		bucket.take(ctx)
		select {
		case <-ctx.Done():
			over = true
			continue
		case <-failed:
			over = true
			continue
		case room <- struct{}{}:
		}
		data, hash, err := journal.EncodeRecord(w.record(random))
		if err != nil {
			return err
		}
		next := tip{w.tip.seq + 1, hash}
		w.tip = next
		w.log.Append(next.seq, data, func(err error) {
			if err != nil {
				once.Do(func() {
					first = fmt.Errorf("record %d: %w", next.seq, err)
					close(failed)
				})
			} else {
				w.acked(next)
			}
			<-room
		})
	}
	for range w.window { // all answers are in when all the room is ours
		room <- struct{}{}
	}
	return first
}

// bucket holds back who is faster than a rate. What was not used in time is lost but for a window, so that no outage is
// followed by a flood.
type bucket struct {
	rate, most int
	tokens     float64
	filled     time.Time
}

func (b *bucket) take(ctx context.Context) {
	if b.rate == 0 {
		return
	}
	for {
		now := time.Now()
		b.tokens = min(b.tokens+now.Sub(b.filled).Seconds()*float64(b.rate), float64(b.most))
		if b.filled = now; b.tokens >= 1 {
			b.tokens--
			return
		}
		if pause.For(ctx, time.Millisecond) != nil {
			return
		}
	}
}

// record is the next of the chain, of a size that records of a busy cell have.
func (w *writer) record(random *rand.Rand) *v1.Record {
	reason := make([]byte, 16+random.IntN(120))
	for i := range reason {
		reason[i] = 'a' + byte(random.IntN(26))
	}
	return &v1.Record{
		Seq: w.tip.seq + 1, Epoch: w.epoch, Prev: prev(w.tip), TimeUnixNano: int64(w.tip.seq),
		Events: []*v1.Event{{Kind: &v1.Event_JobStopRequested{JobStopRequested: &v1.JobStopRequested{
			Queue: "default", Name: "some-job", Uid: w.tip.seq, Reason: string(reason),
		}}}},
	}
}

func prev(t tip) []byte {
	if t.seq == 0 {
		return nil
	}
	return t.hash[:]
}

// loss is what a check has found missing or wrong.
type loss struct {
	// Lost are acknowledged records that are not there, or another is in their place.
	Lost uint64
	// Disorder are places in which the chain breaks: a record twice, out of order, missing or damaged.
	Disorder uint64
	// Example tells of the first.
	Example string
}

func (l *loss) note(count *uint64, n uint64, format string, args ...any) {
	*count += n
	if l.Example == "" && n > 0 {
		l.Example = fmt.Sprintf(format, args...)
	}
}

// check reads a log from behind a tip to its end, and compares it with the marks, which are in order and behind that tip.
// It returns where the log ends.
func check(ctx context.Context, log journal.Log, from tip, marks []mark) (end tip, found loss, err error) {
	end = from
	if _, last, err := log.Bounds(ctx); err == nil && last < from.seq {
		found.note(&found.Disorder, 1, "the log ends with record %d, and was checked up to record %d before", last, from.seq)
		end = tip{}
	}
	if end == from {
		err = log.Read(ctx, from.seq+1, func(seq uint64, data []byte) error {
			rec, hash, err := journal.DecodeRecord(data)
			if err != nil {
				return err
			}
			if seq != end.seq+1 || rec.GetSeq() != seq || string(rec.GetPrev()) != string(prev(end)) {
				return fmt.Errorf("%w: record %d follows record %d, and its chain does not", journal.ErrCorrupt, rec.GetSeq(), end.seq)
			}
			end = tip{seq, hash}
			for len(marks) > 0 && marks[0].seq <= seq {
				if marks[0].seq == seq && marks[0] != end.mark() {
					found.note(&found.Lost, 1, "record %d is another one than was acknowledged", seq)
				}
				marks = marks[1:]
			}
			return nil
		})
	}
	switch {
	case errors.Is(err, journal.ErrCorrupt):
		found.note(&found.Disorder, 1, "%v", err)
		err = nil
	case err != nil:
		return end, found, err
	}
	if n := len(marks); n > 0 {
		found.note(&found.Lost, uint64(n), "records %d to %d were acknowledged, and the log ends with record %d", marks[0].seq, marks[n-1].seq, end.seq)
	}
	return end, found, nil
}
