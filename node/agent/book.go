package agent

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// book decides for the ledger actor: an input in, changes and consequences out, nothing else. It holds what is durable
// and what the batch at hand changes on top of that, and can take the batch back.
type book struct {
	limits   Limits
	capacity model.Resources
	node     string
	bootID   string
	life     uint64
	drivers  []string
	// full says why nothing can be written now; empty if it can.
	full string
	// draining says why nothing new is taken; empty if it is.
	draining string

	head      *v1.LedgerHead
	templates map[model.StageID]*v1.Template
	slots     map[uint64]*v1.LedgerSlot
	ends      map[uint64]*v1.AttemptState
	released  []uint64 // sorted
	// soft is what runs in a slot as it was observed last.
	soft map[uint64]*v1.AttemptState

	// Sums over the maps above.
	held          model.Resources
	extras        *model.Holding
	uses          map[model.StageID]int
	jobs          map[uint64]int
	endBytes      int
	templateBytes int

	// The batch at hand.
	changes, undo []ledger.Entry
	out           []effect
}

// effect is a message that leaves when what was decided before it is durable.
type effect struct {
	to      receiver
	message any
}

type receiver uint8

const (
	toLink receiver = iota
	toAttempts
)

func newBook(cfg *Config, life uint64, drivers []string) *book {
	info := cfg.Info
	return &book{
		limits: cfg.Limits, node: info.GetId(), bootID: cfg.BootID, life: life, drivers: drivers,
		capacity: model.Resources{
			model.CPU: info.GetCpuMilli(), model.Memory: info.GetMemoryBytes(),
			model.Disk: info.GetDiskBytes(), model.Net: info.GetNetBps(),
		},
		extras: model.NewHolding(info),
		head:   &v1.LedgerHead{}, templates: map[model.StageID]*v1.Template{}, slots: map[uint64]*v1.LedgerSlot{},
		ends: map[uint64]*v1.AttemptState{}, soft: map[uint64]*v1.AttemptState{},
		uses: map[model.StageID]int{}, jobs: map[uint64]int{},
	}
}

// load fills an empty book with what was read from the store.
func (b *book) load(entries []ledger.Entry) {
	for _, e := range entries {
		b.apply(e)
	}
}

// decide takes one input.
func (b *book) decide(in any) {
	switch in := in.(type) {
	case *enroll:
		b.enroll()
	case *raise:
		b.raise(in.message)
	case *order:
		b.command(in.command)
	case *survey:
		b.survey(in.session)
	case *pulse:
		b.send(toLink, &digest{in.session, in.taken, b.digest()})
	case *observed:
		b.observed(in.state)
	case *vacated:
		b.vacated(in)
	case *spoiled:
		if rec := b.slots[in.slot]; rec != nil {
			b.release(rec, "the agent failed over it again and again")
		}
	case *recall:
		b.recall(in.slot)
	case *drain:
		b.drain(in)
	default:
		panic(fmt.Sprintf("agent: the ledger decides on no %T", in))
	}
}

// enroll begins a life of the agent over this ledger; it is the first input of every incarnation.
type enroll struct{}

func (b *book) enroll() {
	if b.head.GetIncarnation() == b.life && b.head.GetNode() == b.node {
		return
	}
	head := proto.CloneOf(b.head)
	head.Node, head.Incarnation = b.node, b.life
	b.change(ledger.Entry{Key: headKey, Value: head})
}

func (b *book) raise(m *v1.ToAgent) {
	if m.GetEpoch() > b.head.GetEpoch() {
		head := proto.CloneOf(b.head)
		head.Epoch = m.GetEpoch()
		b.change(ledger.Entry{Key: headKey, Value: head})
	}
	b.send(toLink, &raised{m, b.head.GetEpoch()})
}

// observed takes in where an attempt stands. What is not the newest attempt of a live slot, or has ended before, is an
// echo of something that was dealt with.
func (b *book) observed(s *v1.AttemptState) {
	rec := b.slots[s.GetSlot()]
	if rec == nil || rec.GetEnded() || rec.GetLaunch().GetFence() != s.GetFence() {
		return
	}
	if final(s.GetPhase()) {
		b.end(rec, s)
		return
	}
	b.soft[s.GetSlot()] = s
	b.send(toLink, attemptFact(s))
}

func (b *book) end(rec *v1.LedgerSlot, s *v1.AttemptState) {
	b.change(ledger.Entry{Key: ledger.Key{Kind: ledger.End, A: s.GetFence()}, Value: s})
	ended := proto.CloneOf(rec)
	ended.Ended = true
	b.change(ledger.Entry{Key: slotKey(rec), Value: ended})
	b.send(toLink, attemptFact(s))
	if ended.GetReleasing() { // now its traces may go
		b.send(toAttempts, b.dutyOf(ended))
	}
}

// vacated takes a slot out of the book. An attempt does not vanish with it: if its end was never told it is lost.
func (b *book) vacated(v *vacated) {
	rec := b.slots[v.slot]
	if rec == nil {
		return
	}
	if !rec.GetEnded() {
		end := v.end
		if end == nil || end.GetFence() != rec.GetLaunch().GetFence() {
			end = stateOf(rec, b.templateOf(rec), v1.AttemptPhase_ATTEMPT_PHASE_LOST)
			end.Reason = "the slot was released and nothing said how the attempt ended"
		}
		b.end(rec, end)
	}
	b.change(ledger.Entry{Key: slotKey(rec)})
	delete(b.soft, v.slot)
	b.change(ledger.Entry{Key: ledger.Key{Kind: ledger.Released, A: v.slot}, Value: &v1.SlotReleased{Slot: v.slot}})
	b.trimReleased()
	job := rec.GetLaunch().GetJobUid()
	g := &gone{slot: v.slot, last: b.jobs[job] == 0}
	if g.last {
		g.jobs = b.liveJobs()
	}
	b.send(toAttempts, g)
	b.send(toLink, releasedFact(v.slot))
}

// trimReleased keeps the memory of released slots bounded. Slot ids grow, so the oldest go first, and what is older
// than the oldest kept counts as released: at the limit an old slot is refused, never run twice.
func (b *book) trimReleased() {
	if len(b.released) <= b.limits.Released {
		return
	}
	oldest := b.released[0]
	b.change(ledger.Entry{Key: ledger.Key{Kind: ledger.Released, A: oldest}})
	head := proto.CloneOf(b.head)
	head.ReleasedThrough = max(head.GetReleasedThrough(), oldest)
	b.change(ledger.Entry{Key: headKey, Value: head})
}

func (b *book) wasReleased(slot uint64) bool {
	_, known := slices.BinarySearch(b.released, slot)
	return known || slot <= b.head.GetReleasedThrough()
}

func (b *book) drain(d *drain) {
	b.draining = d.reason
	for _, slot := range sortedKeys(b.slots) {
		b.release(b.slots[slot], d.reason)
	}
	b.send(toAttempts, &drainAll{d.reply})
}

// change applies a change and notes it for the store.
func (b *book) change(c ledger.Entry) {
	b.undo = append(b.undo, b.apply(c))
	b.changes = append(b.changes, c)
}

func (b *book) send(to receiver, message any) { b.out = append(b.out, effect{to, message}) }

// commit ends the batch: what must be written, and what leaves when it is.
func (b *book) commit() ([]ledger.Entry, []effect) {
	changes, out := b.changes, b.out
	b.changes, b.out = nil, nil
	return changes, out
}

// settle forgets how to take the batch back: it is durable.
func (b *book) settle() { b.undo = nil }

// rollback takes the batch back.
func (b *book) rollback() {
	for _, u := range slices.Backward(b.undo) {
		b.apply(u)
	}
	b.changes, b.undo, b.out = nil, nil, nil
}

// apply sets or removes one entry, keeps the sums, and returns the entry as it was.
func (b *book) apply(c ledger.Entry) ledger.Entry {
	was := ledger.Entry{Key: c.Key}
	switch c.Key.Kind {
	case ledger.Head:
		was.Value, b.head = b.head, &v1.LedgerHead{}
		if head, ok := c.Value.(*v1.LedgerHead); ok {
			b.head = head
		}
	case ledger.Template:
		was.Value = swap(b.templates, stageOf(c.Key.A, uint32(c.Key.B)), c.Value)
		b.templateBytes += sizeOf(c.Value) - sizeOf(was.Value)
	case ledger.Slot:
		was.Value = swap(b.slots, c.Key.A, c.Value)
		b.account(was.Value, -1)
		b.account(c.Value, +1)
	case ledger.End:
		was.Value = swap(b.ends, c.Key.A, c.Value)
		b.endBytes += sizeOf(c.Value) - sizeOf(was.Value)
	case ledger.Released:
		at, known := slices.BinarySearch(b.released, c.Key.A)
		switch {
		case known:
			was.Value = &v1.SlotReleased{Slot: c.Key.A}
			if c.Value == nil {
				b.released = slices.Delete(b.released, at, at+1)
			}
		case c.Value != nil:
			b.released = slices.Insert(b.released, at, c.Key.A)
		}
	}
	return was
}

func (b *book) account(value proto.Message, sign int) {
	rec, ok := value.(*v1.LedgerSlot)
	if !ok {
		return
	}
	if r := resourcesOf(rec); sign > 0 {
		b.held = b.held.Add(r)
		if !plant.Is(plant.ExtrasUnbooked) {
			b.extras.Take(rec.GetLaunch().GetExtra())
		}
	} else {
		b.held = b.held.Sub(r)
		b.extras.Give(rec.GetLaunch().GetExtra())
	}
	count(b.uses, stageOf(rec.GetLaunch().GetJobUid(), rec.GetLaunch().GetStage()), sign)
	count(b.jobs, rec.GetLaunch().GetJobUid(), sign)
}
