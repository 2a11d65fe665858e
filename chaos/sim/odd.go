package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// hitOdd lets something happen that nobody expects: wrong clocks, two agents of one name, words of another time, words
// that make no sense, far too many words, and many machines that vanish at once.
func (w *world) hitOdd(f Fault) bool {
	text := ""
	switch f {
	case ClockJump:
		text = w.jumpClock()
	case Twin:
		text = w.beginTwin()
	case FalseHello:
		text = w.tellFalse()
	case Poison:
		text = w.poison()
	case Overload:
		text = w.overload()
	case MassLoss:
		text = w.loseMany()
	}
	if text == "" {
		return false
	}
	w.say("fault", "%s: %s", f, text)
	return true
}

// jumpClock sets the date of a process up to an hour wrong.
func (w *world) jumpClock() string {
	r := w.newest
	by := time.Duration(r.Int64N(int64(2*time.Hour))) - time.Hour
	if r.IntN(2) == 0 {
		h := w.hosts[r.IntN(len(w.hosts))]
		h.clock.jump(by)
		return fmt.Sprintf("the clock of master %s is set %v wrong", h.id, by)
	}
	m := w.machines[r.IntN(len(w.machines))]
	m.clock.jump(by)
	return fmt.Sprintf("the clock of %s is set %v wrong", m.id, by)
}

// beginTwin lets a second agent begin under the name of another, for a while. It has a machine of its own.
func (w *world) beginTwin() string {
	if w.twin != nil {
		return ""
	}
	of := w.machines[w.newest.IntN(len(w.machines))]
	m := newMachine(w, len(w.machines))
	m.id, m.boots = of.id, 1000*(1+w.twins)
	m.info = proto.CloneOf(m.info)
	m.info.Id, m.home = of.id, m.info
	w.twins++
	w.twin = m
	w.machines, w.links = append(w.machines, m), append(w.links, newLink(w, m.number))
	wait := w.between(500*time.Millisecond, 3*w.p.lost)
	m.restart(0)
	w.later(wait, w.endTwin)
	return fmt.Sprintf("a second agent says that it is %s, for %v", m.id, wait)
}

// endTwin ends the second agent and all that ran there. It is called between two steps.
func (w *world) endTwin() {
	m := w.twin
	if m == nil {
		return
	}
	w.twin = nil
	m.restarts++ // nobody starts it again
	m.reboot()
	w.machines, w.links = w.machines[:m.number], w.links[:m.number]
	w.say("agent", "the second %s is gone", m.id)
}

// tellFalse lets an agent say again what it held some time ago, or what it never held.
func (w *world) tellFalse() string {
	r := w.newest
	l := w.links[r.IntN(len(w.links))]
	if len(l.hellos) == 0 {
		return ""
	}
	said := l.hellos[r.IntN(len(l.hellos))]
	text := "says again what it held before"
	if h := said.GetHello(); r.IntN(2) == 0 && len(h.GetSlots()) > 0 {
		said = proto.CloneOf(said)
		h = said.GetHello()
		i := r.IntN(len(h.Slots))
		if r.IntN(2) == 0 {
			h.Slots = append(h.Slots[:i:i], h.Slots[i+1:]...)
			text = "does not tell of a slot"
		} else {
			h.Slots[i].Slot += 1 + r.Uint64N(1000)
			text = "tells of a slot that it does not have"
		}
	}
	l.up(said)
	return fmt.Sprintf("n%d %s", l.number, text)
}

// poison sends what makes no sense.
func (w *world) poison() string {
	r := w.newest
	l := w.links[r.IntN(len(w.links))]
	switch r.IntN(3) {
	case 0:
		m := proto.CloneOf(l.said)
		if m == nil {
			return ""
		}
		garble(r, m.ProtoReflect(), 2+r.IntN(6))
		// Else it would be a lie, or another agent, and no nonsense.
		m.Session, m.Epoch, m.Node = m.Session+uint64(1+r.IntN(3)), min(m.Epoch, l.said.GetEpoch()), l.said.GetNode()
		if info := m.GetHello().GetInfo(); info != nil {
			info.Id = "none"
		}
		l.up(m)
		return fmt.Sprintf("from n%d", l.number)
	case 1:
		m := proto.CloneOf(l.told)
		if m == nil {
			return ""
		}
		garble(r, m.ProtoReflect(), 2+r.IntN(6))
		m.Session, m.Epoch, m.Node = m.Session+uint64(1+r.IntN(3)), min(m.Epoch, l.told.GetEpoch()), l.told.GetNode()
		l.down(m)
		return fmt.Sprintf("to n%d", l.number)
	}
	call := w.nonsense()
	w.clients.ask(call, callWait, func(any, error) {})
	return fmt.Sprintf("%T of a client", call)
}

// nonsense is a request that cannot be right, but for one that changes nothing.
func (w *world) nonsense() any {
	r := w.newest
	k := w.load.order[r.IntN(len(w.load.order))]
	spec := proto.CloneOf(k.spec)
	garble(r, spec.ProtoReflect(), 1+r.IntN(5))
	spec.Name = "NO NAME"
	node := "no-such\x00node" + strings.Repeat("x", r.IntN(100))
	return pick[any](r,
		&v1.SubmitRequest{Job: spec, Key: strings.Repeat("k", r.IntN(1000))}, &v1.SubmitRequest{},
		&v1.QueueSpec{Name: "..", Quota: &v1.Quota{Cpu: "-1"}, MaxJobs: math.MinInt64}, &v1.DrainRequest{Id: node, Drained: true},
		&v1.TaintRequest{Id: node, Taints: []*v1.Taint{{Key: "\xff", Effect: "none"}}}, &v1.StopRequest{Queue: "*", Name: ">"},
		&v1.ResultsRequest{Queue: k.spec.GetQueue(), Name: k.spec.GetName(), Stage: "s9", From: math.MaxUint64, Uid: math.MaxUint64},
		&v1.ListJobsRequest{Limit: math.MinInt32, After: "///", Queue: "none"}, &v1.ListNodesRequest{Limit: -1, After: node},
		&v1.JobRef{Queue: k.spec.GetQueue(), Name: ""}, &v1.LookupRequest{Name: "...."}, &v1.NodeRef{Id: node}, &v1.QueueRef{},
		&v1.ExplainRequest{Queue: "q1", Name: "-"}, &v1.LedgerRequest{Queue: "none", Limit: -1}, struct{}{},
	)
}

// garble changes fields of a message at random, in any depth, to what hardly anybody would say.
func garble(r *rand.Rand, m protoreflect.Message, times int) {
	fields := m.Descriptor().Fields()
	for range times {
		f := fields.Get(r.IntN(fields.Len()))
		switch {
		case f.IsMap():
			m.Clear(f)
		case f.IsList():
			list := m.Mutable(f).List()
			if f.Message() != nil && list.Len() > 0 && r.IntN(3) > 0 {
				garble(r, list.Get(r.IntN(list.Len())).Message(), 2)
			} else if f.Message() != nil && list.Len() < 4 {
				list.AppendMutable() // an empty one
			} else {
				m.Clear(f)
			}
		case f.Message() != nil:
			if m.Has(f) && r.IntN(2) == 0 {
				garble(r, m.Mutable(f).Message(), 2)
			} else if f.ContainingOneof() == nil || m.Has(f) {
				m.Clear(f)
			}
		default:
			if v, ok := absurd(r, f); ok {
				m.Set(f, v)
			}
		}
	}
}

// absurd is a value that is allowed and makes no sense.
func absurd(r *rand.Rand, f protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(pick(r, "", "..", ">", "\x00", "é", strings.Repeat("z", 5000), "-1", "NaN", "99999999999999999999")), true
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(make([]byte, r.IntN(2000))), true
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(pick(r, int64(-1), 0, math.MinInt64, math.MaxInt64)), true
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(pick(r, int32(-1), 0, math.MinInt32, math.MaxInt32)), true
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(pick(r, uint64(0), 1, math.MaxUint64, 1<<32)), true
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(pick(r, uint32(0), 77, math.MaxUint32)), true
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(pick(r, -1, 0, 99))), true
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0), true
	}
	return protoreflect.Value{}, false
}

// overload lets ten times as many clients ask at once.
func (w *world) overload() string {
	n := 10 * w.p.clients
	for range n {
		w.clients.busy++
		w.clients.act(func() { w.clients.busy-- })
	}
	return fmt.Sprintf("%d requests at once", n)
}

// loseMany cuts the links of one machine of twenty, of ten or of two, but of two at least.
func (w *world) loseMany() string {
	r := w.newest
	n := max(2, len(w.machines)/pick(r, 20, 10, 2, 2))
	if n > len(w.machines) {
		return ""
	}
	wait := w.between(500*time.Millisecond, 4*w.p.lost)
	for _, i := range r.Perm(len(w.machines))[:n] {
		l := w.links[i]
		l.upCut, l.downCut = true, true
		w.after(wait, l.mend)
	}
	return fmt.Sprintf("%d of %d machines for %v", n, len(w.machines), wait)
}

// strange adds to a message and all that is in it what a version yet to come might say.
func strange(m protoreflect.Message) {
	m.SetUnknown(append(m.GetUnknown(), 0xba, 0xfa, 0x01, 0x03, 'n', 'e', 'w')) // field 4007, three bytes
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				strange(v.List().Get(i).Message())
			}
		case f.Message() != nil && !f.IsMap():
			strange(v.Message())
		}
		return true
	})
}
