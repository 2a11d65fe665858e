package agent

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/node/ledger"
)

// One write holds at most so much. Stores have a limit of their own above that.
const (
	batchInputs = 256
	batchBytes  = 512 << 10
)

// writeAgain is how often a ledger that cannot be written is tried.
const writeAgain = time.Second

// ledgerActor takes inputs in order, writes what they change in batches, and sends what follows once that is durable.
type ledgerActor struct {
	*env
	kin *kin

	incarnation int
	book        *book // nil until loaded
	queue       []any
	// batch is being written; its effects leave when it is.
	batch   []any
	out     []effect
	writing bool
	number  uint64
	// stuck are inputs whose changes could not be written; while there is a reason in book.full only they are tried,
	// now and then, and inputs that change nothing pass them.
	stuck []any
}

// Receive implements kit.Behavior.
func (l *ledgerActor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		l.incarnation = m.Incarnation
		l.recover(ctx)
	case *cleared:
		if m.incarnation == l.incarnation {
			l.load(ctx)
		}
	case *written:
		if m.incarnation == l.incarnation && m.number == l.number {
			l.written(ctx, m.err)
		}
	case *enroll, *raise, *order, *survey, *pulse, *observed, *vacated, *spoiled, *recall, *drain:
		l.enqueue(m)
		l.pump(ctx)
	case *retryWrite:
		l.probe(ctx)
	case *kit.Busy:
		l.busy(ctx, m)
	case *repeat:
		l.repeat(ctx)
	case *kit.Lost: // of a slot that was leaving
	default:
		ctx.Unhandled(m)
	}
}

type retryWrite struct{}

// recover waits until no write of an earlier incarnation is under way.
func (l *ledgerActor) recover(ctx *kit.Context) {
	tell, incarnation := ctx.Teller(), l.incarnation
	l.ports.Ledger.Write(nil, func(error) { tell(&cleared{incarnation}) })
}

// load reads the store. If that fails the actor does, and in the end the process: an agent that has forgotten what it
// runs must not pretend to run nothing.
func (l *ledgerActor) load(ctx *kit.Context) {
	entries, err := l.ports.Ledger.Load()
	if err != nil {
		panic(fmt.Errorf("agent: load ledger: %w", err))
	}
	l.book = newBook(&l.cfg, l.life, l.rig.Names())
	l.book.load(entries)
	l.queue = append([]any{&enroll{}, &recall{}}, l.queue...)
	if l.incarnation > 1 {
		ctx.Tell(l.kin.link, &resync{"the ledger was restarted"})
	}
	l.pump(ctx)
}

// enqueue keeps an input. Of what runs in a slot only the newest counts, so a queue that waits for the disk does not
// grow with progress.
func (l *ledgerActor) enqueue(in any) {
	if o, ok := in.(*observed); ok && !final(o.state.GetPhase()) {
		for i := len(l.queue) - 1; i >= 0; i-- {
			if q, ok := l.queue[i].(*observed); ok && q.state.GetFence() == o.state.GetFence() {
				if !final(q.state.GetPhase()) {
					l.queue[i] = o
				}
				return
			}
		}
	}
	l.queue = append(l.queue, in)
}

// pump takes inputs as long as nothing is being written.
func (l *ledgerActor) pump(ctx *kit.Context) {
	if l.book == nil {
		return
	}
	for !l.writing && len(l.queue) > 0 {
		if l.book.full != "" {
			l.pass(ctx)
			continue
		}
		n, size := 0, 0
		for n < len(l.queue) && n < batchInputs && size < batchBytes {
			before := len(l.book.changes)
			l.book.decide(l.queue[n])
			size += changeSize(l.book.changes[before:])
			n++
		}
		l.batch = append(l.batch, l.queue[:n]...)
		l.queue = trim(l.queue, n)
		l.write(ctx)
	}
}

// write sends the batch to the store, or lets its effects go at once if it changes nothing.
func (l *ledgerActor) write(ctx *kit.Context) {
	changes, out := l.book.commit()
	l.out = out
	if len(changes) == 0 {
		l.release(ctx)
		return
	}
	if plant.Is(plant.StartBeforePersisted) {
		l.release(ctx)
	}
	l.writing = true
	l.number++
	tell, done := ctx.Teller(), written{incarnation: l.incarnation, number: l.number}
	l.ports.Ledger.Write(changes, func(err error) {
		done := done
		done.err = err
		tell(&done)
	})
}

func (l *ledgerActor) written(ctx *kit.Context, err error) {
	l.writing = false
	if err != nil {
		l.failed(ctx, err)
	} else {
		if l.book.full != "" {
			ctx.Log().Info("ledger can be written again")
			l.book.full = ""
			l.queue = append(l.stuck, l.queue...)
			l.stuck = nil
		}
		l.release(ctx)
	}
	l.pump(ctx)
}

// release lets the effects of a durable batch go, in order, and tells link how many orders have been decided.
func (l *ledgerActor) release(ctx *kit.Context) {
	l.book.settle()
	out, batch := l.out, l.batch
	l.out, l.batch = nil, nil
	for _, e := range out {
		to := l.kin.link
		if e.to == toAttempts {
			to = l.kin.attempts
		}
		ctx.Tell(to, e.message)
	}
	var last obeyed
	for _, in := range batch {
		o, ok := in.(*order)
		if !ok {
			continue
		}
		if o.session != last.session && last.n > 0 {
			done := last
			ctx.Tell(l.kin.link, &done)
			last.n = 0
		}
		last.session = o.session
		last.n++
	}
	if last.n > 0 {
		ctx.Tell(l.kin.link, &last)
	}
}

// failed takes the batch back. Its inputs are taken again one by one (pass), unless they were stuck before: then this
// was a probe, and they are stuck still.
func (l *ledgerActor) failed(ctx *kit.Context, err error) {
	l.book.rollback()
	batch := l.batch
	l.out, l.batch = nil, nil
	if l.book.full == "" {
		ctx.Log().Error("ledger cannot be written: launches are refused until it can", "err", err)
		l.queue = append(batch, l.queue...)
	} else {
		l.stuck = append(batch, l.stuck...)
	}
	l.book.full = "agent cannot write its ledger: " + err.Error()
	if errors.Is(err, ledger.ErrFull) {
		l.book.full = "no room on the disk of the agent's ledger"
	}
	l.count(CountLedgerFailed)
	ctx.After("write", writeAgain, &retryWrite{})
}

// pass takes one input while the store cannot be written: launches are refused, what changes nothing passes, and the
// rest is stuck. Before this life is durable nothing passes: its session numbers might be given out again.
func (l *ledgerActor) pass(ctx *kit.Context) {
	in := l.queue[0]
	l.queue = trim(l.queue, 1)
	l.book.decide(in)
	if len(l.book.changes) > 0 || l.book.head.GetIncarnation() != l.life {
		l.book.rollback()
		l.stuck = append(l.stuck, in)
		return
	}
	l.batch = append(l.batch, in)
	l.write(ctx)
}

// probe tries to write what is stuck, or the head again if that is nothing.
func (l *ledgerActor) probe(ctx *kit.Context) {
	if l.writing || l.book == nil || l.book.full == "" {
		return
	}
	l.book.change(ledger.Entry{Key: headKey, Value: l.book.head})
	n, size := 0, 0
	for n < len(l.stuck) && n < batchInputs && size < batchBytes {
		before := len(l.book.changes)
		l.book.decide(l.stuck[n])
		size += changeSize(l.book.changes[before:])
		n++
	}
	l.batch = append(l.batch, l.stuck[:n]...)
	l.stuck = trim(l.stuck, n)
	l.write(ctx)
}

// busy: a sibling's mailbox was full and a consequence is lost. Both are told anew from the start.
func (l *ledgerActor) busy(ctx *kit.Context, b *kit.Busy) {
	l.count(CountMailboxFull)
	ctx.Log().Warn("a consequence was not taken", "to", kit.NameOf(b.To), "message", fmt.Sprintf("%T", b.Message))
	l.later(ctx)
}

type repeat struct{}

// later tells both siblings anew, once, soon.
func (l *ledgerActor) later(ctx *kit.Context) { ctx.After("repeat", repeatAfter, &repeat{}) }

const repeatAfter = 100 * time.Millisecond

func (l *ledgerActor) repeat(ctx *kit.Context) {
	l.enqueue(&recall{})
	ctx.Tell(l.kin.link, &resync{"the ledger has lost facts"})
	l.pump(ctx)
}

func changeSize(changes []ledger.Entry) int {
	n := 0
	for _, c := range changes {
		n += 32
		if c.Value != nil {
			n += proto.Size(c.Value)
		}
	}
	return n
}

// trim drops the first n of a queue and its memory with the last.
func trim(queue []any, n int) []any {
	clear(queue[:n])
	if queue = queue[n:]; len(queue) == 0 {
		return nil
	}
	return queue
}
