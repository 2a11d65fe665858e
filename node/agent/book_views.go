package agent

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/stream"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// survey tells link all that the agent holds, for a new session. Templates that no slot uses go with the old one.
func (b *book) survey(session uint64) {
	if b.full == "" {
		for _, stage := range b.unusedTemplates() {
			b.change(ledger.Entry{Key: templateKey(stage)})
		}
	}
	inv := &inventory{session: session, epoch: b.head.GetEpoch()}
	for _, slot := range sortedKeys(b.slots) {
		inv.slots = append(inv.slots, b.slotState(b.slots[slot]))
	}
	for _, fence := range sortedKeys(b.ends) {
		inv.ends = append(inv.ends, b.ends[fence])
	}
	b.send(toLink, inv)
}

// slotState is what a Hello says of a slot. What is long, or said of the slot already, is left out of its attempt: the
// Hello of a full node must fit into one message.
func (b *book) slotState(rec *v1.LedgerSlot) *v1.SlotState {
	l, t := rec.GetLaunch(), b.templateOf(rec)
	s := &v1.SlotState{
		Slot: l.GetSlot(), JobUid: l.GetJobUid(), Stage: l.GetStage(), Queue: t.GetQueue(), Job: t.GetJob(),
		CpuMilli: rec.GetCpuMilli(), MemoryBytes: rec.GetMemoryBytes(), DiskBytes: rec.GetDiskBytes(), NetBps: rec.GetNetBps(),
		LastFence: l.GetFence(), Extra: l.GetExtra(),
	}
	state := b.ends[l.GetFence()]
	if !rec.GetEnded() {
		state = b.running(rec)
	}
	if state != nil {
		s.Attempt = &v1.AttemptState{
			Slot: state.GetSlot(), Fence: state.GetFence(), JobUid: state.GetJobUid(), Stage: state.GetStage(),
			Index: state.GetIndex(), Attempt: state.GetAttempt(), Phase: state.GetPhase(), ExitCode: state.GetExitCode(),
			ProgressMilli: state.GetProgressMilli(), StartedUnixNano: state.GetStartedUnixNano(), EndedUnixNano: state.GetEndedUnixNano(),
		}
	}
	return s
}

// running is where an attempt that has not ended stands.
func (b *book) running(rec *v1.LedgerSlot) *v1.AttemptState {
	l := rec.GetLaunch()
	if s := b.soft[l.GetSlot()]; s != nil && s.GetFence() == l.GetFence() {
		return s
	}
	return stateOf(rec, b.templateOf(rec), v1.AttemptPhase_ATTEMPT_PHASE_STARTING)
}

// digest is stream.Digest over all live slots, each with its newest attempt and whether that has ended.
func (b *book) digest() uint64 {
	held := make([]stream.Held, 0, len(b.slots))
	for _, slot := range sortedKeys(b.slots) {
		rec := b.slots[slot]
		held = append(held, stream.Held{Slot: slot, Fence: rec.GetLaunch().GetFence(), Ended: rec.GetEnded()})
	}
	return stream.Digest(held)
}

func (b *book) recall(slot uint64) {
	if slot == 0 {
		r := &roster{jobs: b.liveJobs()}
		for _, slot := range sortedKeys(b.slots) {
			r.duties = append(r.duties, b.dutyOf(b.slots[slot]))
		}
		b.send(toAttempts, r)
		return
	}
	if rec := b.slots[slot]; rec != nil {
		b.send(toAttempts, b.dutyOf(rec))
	} else {
		b.send(toAttempts, &gone{slot: slot})
	}
}

func (b *book) dutyOf(rec *v1.LedgerSlot) *duty {
	return &duty{rec, b.templateOf(rec)}
}

func (b *book) templateOf(rec *v1.LedgerSlot) *v1.Template {
	return b.templates[stageOf(rec.GetLaunch().GetJobUid(), rec.GetLaunch().GetStage())]
}

func (b *book) liveJobs() []uint64 { return sortedKeys(b.jobs) }

var headKey = ledger.Key{Kind: ledger.Head}

func slotKey(rec *v1.LedgerSlot) ledger.Key {
	return ledger.Key{Kind: ledger.Slot, A: rec.GetLaunch().GetSlot()}
}

func templateKey(s model.StageID) ledger.Key {
	return ledger.Key{Kind: ledger.Template, A: uint64(s.Job), B: uint64(s.Stage)}
}

func stageOf(job uint64, stage uint32) model.StageID {
	return model.StageID{Job: model.UID(job), Stage: stage}
}

func compareStages(x, y model.StageID) int {
	return cmp.Or(cmp.Compare(x.Job, y.Job), cmp.Compare(x.Stage, y.Stage))
}

// driverOf is what a template asks for.
func driverOf(t *v1.Template) string { return cmp.Or(t.GetSpec().GetDriver(), "process") }

func templateResources(t *v1.Template) model.Resources {
	return model.Resources{
		model.CPU: t.GetCpuMilli(), model.Memory: t.GetMemoryBytes(), model.Disk: t.GetDiskBytes(), model.Net: t.GetNetBps(),
	}
}

func resourcesOf(rec *v1.LedgerSlot) model.Resources {
	return model.Resources{
		model.CPU: rec.GetCpuMilli(), model.Memory: rec.GetMemoryBytes(), model.Disk: rec.GetDiskBytes(), model.Net: rec.GetNetBps(),
	}
}

// stateOf is what is known of an attempt by its launch alone. It names the job, because its end may outlive its slot.
func stateOf(rec *v1.LedgerSlot, t *v1.Template, phase v1.AttemptPhase) *v1.AttemptState {
	l := rec.GetLaunch()
	return &v1.AttemptState{
		Slot: l.GetSlot(), Fence: l.GetFence(), JobUid: l.GetJobUid(), Stage: l.GetStage(), Index: l.GetIndex(),
		Attempt: l.GetAttempt(), Phase: phase, Queue: t.GetQueue(), Job: t.GetJob(),
	}
}

func final(p v1.AttemptPhase) bool { return p >= v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED }

func attemptFact(s *v1.AttemptState) *fact {
	return &fact{&v1.Change{Kind: &v1.Change_Attempt{Attempt: s}}}
}

func releasedFact(slot uint64) *fact {
	return &fact{&v1.Change{Kind: &v1.Change_Released{Released: &v1.SlotReleased{Slot: slot}}}}
}

// swap sets or, for nil, removes one value of a map and returns what was there, nil if nothing.
func swap[K comparable, V proto.Message](m map[K]V, key K, value proto.Message) proto.Message {
	var was proto.Message
	if old, ok := m[key]; ok {
		was = old
	}
	if value == nil {
		delete(m, key)
	} else {
		m[key] = value.(V)
	}
	return was
}

func sizeOf(m proto.Message) int {
	if m == nil {
		return 0
	}
	return proto.Size(m)
}

func count[K comparable](m map[K]int, key K, by int) {
	if m[key] += by; m[key] == 0 {
		delete(m, key)
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
