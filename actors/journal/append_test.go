package journal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

// barrier asks for what a read waits for.
func (r *rig) barrier(token uint64) {
	r.sys.TellFrom(r.asker, r.ref, &msg.Commit{Then: []msg.Send{{To: r.asker, Message: &msg.Committed{Token: token}}}})
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	over := false
	r.step.AfterFunc(d, func() { over = true })
	for end := r.step.Now().Add(d); !over; {
		r.step.Step(end)
	}
}

const lease = 300 * time.Millisecond

func TestB31_ReadsNeedAnAppendOnlyNowAndThen(t *testing.T) {
	r := newRig(t, 0)
	r.env.ReadLease = lease
	for i := range uint64(10) {
		r.barrier(i)
	}
	r.run()
	if len(r.got) != 0 || len(r.log.waiting) != 1 {
		t.Fatalf("%d reads are answered, %d appends under way; nothing shows that this master leads but one append", len(r.got), len(r.log.waiting))
	}
	r.settle()
	if len(r.got) != 10 {
		t.Fatalf("%d of 10 reads are answered after the append", len(r.got))
	}
	r.pass(lease / 2)
	r.barrier(10)
	r.run()
	if len(r.got) != 11 || len(r.log.waiting) != 0 {
		t.Fatal("a read within the lease is not answered at once")
	}
	r.pass(lease)
	r.barrier(11)
	r.run()
	if len(r.got) != 11 || len(r.log.waiting) != 1 {
		t.Fatal("a read after the lease is answered without an append")
	}
	r.settle()
	state, err := journal.Recover(t.Context(), r.log.Log, nil)
	if err != nil || state.Seq() != 3 || len(r.got) != 12 {
		t.Fatalf("%d answers, the log ends with record %d: %v", len(r.got), state.Seq(), err)
	}
}

// However slow the log and whatever the order: a read is answered only if an append succeeded that was sent after the read
// came, or less than a lease before the answer. After another master has written none is answered beyond the lease.
func TestS5_B31_NoReadOutlivesItsProof(t *testing.T) {
	answered := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := newRig(t, 0)
		r.env.ReadLease = lease
		came := map[uint64]time.Time{}
		var proof time.Time
		r.log.heard = func(sent time.Time) { proof = sent }
		r.heard = func(m any) {
			token := m.(*msg.Committed).Token
			if arrived, now := came[token], r.step.Now(); proof.Before(arrived) && now.Sub(proof) >= lease {
				t.Fatalf("seed %d: read %d came at %v and is answered at %v, the newest proof is of %v", seed, token, arrived, now, proof)
			}
			answered++
		}
		for i := range uint64(60) {
			switch rng.IntN(5) {
			case 0:
				r.commit(1000+i, queueSet(fmt.Sprint("q", i)))
				came[1000+i] = r.step.Now()
			case 1, 2:
				r.barrier(i)
				came[i] = r.step.Now()
			case 3:
				r.pass(time.Duration(rng.IntN(int(lease))))
			case 4:
				r.log.answer()
			}
			r.run()
		}
		next := uint64(0)
		r.settle()
		for _, m := range r.got {
			if token := m.(*msg.Committed).Token; token%1000 < next {
				t.Fatalf("seed %d: answer %d comes after answer %d", seed, token, next)
			} else {
				next = token % 1000
			}
		}
		if len(r.got) != len(came) {
			t.Fatalf("seed %d: %d of %d are answered in the end", seed, len(r.got), len(came))
		}
	}
	if answered < 5000 {
		t.Fatalf("only %d answers were looked at", answered)
	}
}

// A full log takes nothing and loses nothing: what was promised nobody waits, in order, and goes on when there is room.
func TestB14_AFullLogIsTriedAgainUntilThereIsRoom(t *testing.T) {
	r := newRig(t, 0)
	small := memlog.New(memlog.Options{BytesMax: 600})
	if err := r.log.Read(t.Context(), 1, func(seq uint64, data []byte) error {
		put(t, small, seq, data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r.log.Log = small
	for i := range uint64(30) {
		r.commit(i, queueSet(fmt.Sprintf("q%d", i)))
		r.settle()
	}
	before := len(r.got)
	if before == 30 || !r.backlog.Full || r.backlog.Reason == "" {
		t.Fatalf("%d of 30 commits are answered, the gateway knows %+v", before, r.backlog)
	}
	for range 5 {
		r.pass(1100 * time.Millisecond)
		r.settle()
	}
	if len(r.got) != before || r.sys.Err() != nil {
		t.Fatalf("%d answers more while there is no room: %v", len(r.got)-before, r.sys.Err())
	}
	_, last, err := small.Bounds(t.Context())
	if err == nil {
		err = small.Trim(t.Context(), last)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.pass(1100 * time.Millisecond)
	r.settle()
	if len(r.got) != 30 || r.backlog.Full {
		t.Fatalf("%d of 30 are answered when there is room again; the gateway knows %+v", len(r.got), r.backlog)
	}
	for i, m := range r.got {
		if m.(*msg.Committed).Token != uint64(i) {
			t.Fatalf("answer %d is that of commit %d", i, m.(*msg.Committed).Token)
		}
	}
}

// What waits for room is bounded: beyond the bound the master begins anew and forgets it, as it may, for nobody was told.
func TestM2_AFullLogDoesNotFillTheMemory(t *testing.T) {
	r := newRig(t, 0)
	r.env.BacklogBytes = 10_000
	_, last, err := r.log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	full := memlog.New(memlog.Options{BytesMax: 1})
	r.log.Log = full
	for i := uint64(0); r.sys.Err() == nil && i < 10_000; i++ {
		r.commit(i, queueSet(fmt.Sprintf("a-queue-with-a-name-that-is-rather-long-%d", i)))
		r.settle()
		if i%100 == 99 {
			r.pass(1100 * time.Millisecond)
		}
	}
	for r.step.Step(r.step.Now().Add(time.Minute)) {
	}
	if err := r.sys.Err(); err == nil || len(r.got) != 0 {
		t.Fatalf("record %d, %d answers: %v", last, len(r.got), err)
	}
}

// An append that was refused as that of a deposed master ends the reign also when the log was full before.
func TestS5_FencedAfterFull(t *testing.T) {
	r := newRig(t, 0)
	mem := r.log.Log
	r.log.Log = memlog.New(memlog.Options{BytesMax: 1})
	r.commit(1, queueSet("a"))
	r.settle()
	r.log.Log = mem
	state, err := journal.Recover(t.Context(), mem, nil)
	if err == nil {
		_, err = journal.Begin(t.Context(), mem.(*memlog.Log).Reopen(), state, "b", r.step.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	r.pass(1100 * time.Millisecond)
	r.settle()
	for r.step.Step(r.step.Now().Add(time.Minute)) {
	}
	if !errors.Is(r.sys.Err(), journal.ErrFenced) || len(r.got) != 0 {
		t.Fatalf("%d answers, %v", len(r.got), r.sys.Err())
	}
}
