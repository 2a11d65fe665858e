package fabric

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// pieceMax bounds one message of several items, in bytes before compression. NATS takes 1 MiB by default.
const pieceMax = 512 << 10

// headMax is the most that a message holds beside its items: a name, some numbers, usage.
const headMax = 256

// splitTo cuts a message that is too large into several that say the same: items are numbered, so each piece says where
// it begins. A single large item stays whole.
func splitTo(m *v1.ToAgent, most int) []*v1.ToAgent {
	if proto.Size(m) <= most || len(m.GetCommands()) < 2 {
		return []*v1.ToAgent{m}
	}
	var pieces []*v1.ToAgent
	for _, r := range runs(m.GetCommands(), most) {
		p := &v1.ToAgent{
			Node: m.GetNode(), Epoch: m.GetEpoch(), Session: m.GetSession(), Opening: m.GetOpening(), Ack: m.GetAck(),
			First: m.GetFirst() + uint64(r.from), Commands: m.GetCommands()[r.from:r.to],
		}
		if r.from == 0 {
			p.Control = m.GetControl()
		}
		pieces = append(pieces, p)
	}
	return pieces
}

// splitFrom does the same in the other direction. A digest is left out of pieces: it is of the state after all of them.
func splitFrom(m *v1.FromAgent, most int) []*v1.FromAgent {
	if proto.Size(m) <= most || len(m.GetChanges()) < 2 {
		return []*v1.FromAgent{m}
	}
	var pieces []*v1.FromAgent
	for _, r := range runs(m.GetChanges(), most) {
		p := &v1.FromAgent{
			Node: m.GetNode(), Epoch: m.GetEpoch(), Session: m.GetSession(), Opening: m.GetOpening(), Ack: m.GetAck(),
			First: m.GetFirst() + uint64(r.from), Changes: m.GetChanges()[r.from:r.to],
		}
		if r.from == 0 {
			p.Hello, p.Usage = m.GetHello(), m.GetUsage()
		}
		pieces = append(pieces, p)
	}
	return pieces
}

type span struct{ from, to int }

// runs cuts items into runs of at most so many bytes, each of at least one item.
func runs[M proto.Message](items []M, most int) []span {
	var all []span
	from, size := 0, headMax
	for i, item := range items {
		n := proto.Size(item) + 8 // and what frames it
		if i > from && size+n > most {
			all = append(all, span{from, i})
			from, size = i, headMax
		}
		size += n
	}
	return append(all, span{from, len(items)})
}
