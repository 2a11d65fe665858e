package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// againEvery is how often an append is tried again that found no room.
	againEvery = time.Second
	// fullFactor times the limit of the backlog may wait while there is no room; then the master begins anew.
	fullFactor = 4
)

// after lets messages leave when everything staged so far is durable, and when it is sure that this master still led
// after they were asked for. An append that succeeds shows that, if it was sent later; so does a recent one, for no other
// master answers anybody before a read lease has passed since it began. Without a read lease there is no other master.
func (a *Actor) after(ctx *kit.Context, then ...msg.Send) {
	switch {
	case len(a.wait) > 0:
		last := &a.wait[len(a.wait)-1]
		last.then = append(last.then, then...)
	case len(a.sent) > 0:
		last := &a.sent[len(a.sent)-1]
		last.late = append(last.late, then...)
	case a.leads(ctx):
		send(ctx, then)
	default:
		a.wait = append(a.wait, batch{force: true, then: then})
	}
}

// leads reports whether no other master can have answered anybody yet.
func (a *Actor) leads(ctx *kit.Context) bool {
	lease := a.cfg.Env.ReadLease
	return lease <= 0 || plant.Is(plant.LeaseForever) || !a.proof.IsZero() && ctx.Now().Sub(a.proof) < lease
}

// flush appends what waits if the log is free, or if so much waits that a second append beside the first pays.
func (a *Actor) flush(ctx *kit.Context) {
	for a.full == "" && len(a.wait) > 0 && (len(a.wait[0].events) > 0 || a.wait[0].force) {
		if len(a.sent) > 0 && (len(a.sent) >= pipeline || a.wait[0].bytes < pipelineBytes) {
			break
		}
		a.append(ctx)
	}
	a.tellBacklog(ctx)
}

// append makes a record of the oldest batch and hands it to the log.
func (a *Actor) append(ctx *kit.Context) {
	b := a.wait[0]
	a.wait = a.wait[1:]
	head := a.state.Head()
	b.seq, b.at = a.state.Seq()+1, ctx.Now()
	rec := &v1.Record{Seq: b.seq, Epoch: a.cfg.Env.Epoch, TimeUnixNano: b.at.UnixNano(), Events: b.events}
	if b.seq > 1 {
		rec.Prev = head[:]
	}
	data, hash, err := EncodeRecord(rec)
	if err != nil {
		panic(fmt.Errorf("journal: record %d: %w", b.seq, err))
	}
	if err := a.state.Seal(rec, hash); err != nil {
		panic(fmt.Errorf("journal: record %d: %w", b.seq, err))
	}
	b.data = data
	a.sent = append(a.sent, b)
	a.sinceRecords++
	a.sinceBytes += int64(len(data))
	if len(a.wait) == 0 {
		a.maybeSnapshot()
	}
	a.hand(b)
}

// hand gives a record to the log.
func (a *Actor) hand(b batch) {
	tell := a.tell
	a.out++
	a.cfg.Log.Append(b.seq, b.data, func(err error) { tell(&appended{b.seq, err}) })
}

func (a *Actor) appended(ctx *kit.Context, m *appended) {
	a.out--
	switch {
	case errors.Is(m.err, ErrFull) && !plant.Is(plant.FullBelieved):
		a.noRoom(ctx, m)
		return
	case m.err != nil && !errors.Is(m.err, ErrFull):
		panic(fmt.Errorf("journal: append of record %d: %w", m.seq, m.err))
	case len(a.sent) == 0 || a.sent[0].seq != m.seq:
		panic(fmt.Errorf("journal: record %d was acknowledged out of order", m.seq))
	}
	if a.full != "" {
		ctx.Log().Info("the journal has room again", "seq", m.seq)
		a.full = ""
		a.tellNow(ctx)
	}
	b := a.sent[0]
	a.sent = a.sent[1:]
	a.bytes -= b.bytes
	a.proof = b.at
	if plant.Is(plant.LeaseFromAnswer) {
		a.proof = ctx.Now()
	}
	a.release(ctx, b)
	if a.held != nil && a.held.seq <= m.seq {
		a.save(ctx)
	}
	a.flush(ctx)
}

// noRoom keeps what could not be appended, and tries again later: the same records, so that it does not matter if one of
// them is there after all. Until then nothing can be promised, and the gateway refuses what would have to be.
func (a *Actor) noRoom(ctx *kit.Context, m *appended) {
	if a.full == "" {
		ctx.Log().Error("the journal has no room; nothing can be changed until it has", "seq", m.seq, "reason", m.err)
	}
	a.full = m.err.Error()
	a.tellNow(ctx)
	if a.out == 0 && !plant.Is(plant.FullForever) { // those behind it are answered, too
		ctx.After("again", againEvery, again{})
	}
}

// again is the timer that tries appends again.
type again struct{}

func (a *Actor) again(ctx *kit.Context) {
	if limit := a.cfg.Env.BacklogBytes; limit > 0 && a.bytes > fullFactor*limit {
		panic(fmt.Errorf("journal: %d bytes wait for room, which is %d times the limit: %s", a.bytes, fullFactor, a.full))
	}
	for i := range a.sent {
		a.sent[i].at = ctx.Now()
		a.hand(a.sent[i])
	}
}

// release lets out what waited for the batch.
func (a *Actor) release(ctx *kit.Context, b batch) {
	send(ctx, b.then)
	for _, ev := range b.events {
		if e := jobEvent(ev); e != nil {
			e.Seq, e.Epoch, e.TimeUnixMs = b.seq, a.cfg.Env.Epoch, b.at.UnixMilli()
			a.cfg.Publish(e)
			for _, ref := range a.subs {
				ctx.Tell(ref, e)
			}
		}
	}
	switch {
	case len(b.late) == 0:
	case a.leads(ctx):
		send(ctx, b.late)
	// The append took so long that it shows nothing any more. What was sent after they came does, or will be.
	case len(a.sent) > 0:
		a.sent[0].then = append(b.late, a.sent[0].then...)
	case len(a.wait) > 0:
		a.wait[0].then = append(b.late, a.wait[0].then...)
	default:
		a.wait = append(a.wait, batch{force: true, then: b.late})
	}
}

func send(ctx *kit.Context, list []msg.Send) {
	for _, s := range list {
		if s.From != nil {
			ctx.TellFrom(s.From, s.To, s.Message)
		} else {
			ctx.Tell(s.To, s.Message)
		}
	}
}

// tellBacklog tells the gateway when the backlog has moved by an eighth of its limit.
func (a *Actor) tellBacklog(ctx *kit.Context) {
	if level := a.eighth(); level != a.level {
		a.tellNow(ctx)
	}
}

func (a *Actor) tellNow(ctx *kit.Context) {
	a.level = a.eighth()
	ctx.Tell(a.cfg.Env.Refs.Gateway, &msg.Backlog{Bytes: a.bytes, Full: a.full != "", Reason: a.full})
}

func (a *Actor) eighth() int64 {
	if limit := a.cfg.Env.BacklogBytes; limit > 0 {
		return a.bytes * 8 / limit
	}
	return 0
}
