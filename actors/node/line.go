package node

import (
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/poll"
)

// line is the nodes that want a session: each is in it once. Those whose Hello is here go first, for they are alive and
// their inventory needs no way any more; then come those whose agents have to be asked.
type line struct {
	window *poll.Window
	here   []model.NodeID
	ask    []model.NodeID
	hellos map[model.NodeID]*msg.FromAgent // the newest Hello of each in here
	asking map[model.NodeID]bool           // those in ask
	slots  int                             // in the Hellos that wait
}

const (
	// waitingSlotsMax bounds the slots in Hellos that wait: beyond it a Hello is dropped, and its agent is asked for it when
	// it is its turn.
	waitingSlotsMax = 1 << 18
	advanceEvery    = 100 * time.Millisecond
)

func newLine() line {
	return line{window: poll.NewWindow(), hellos: map[model.NodeID]*msg.FromAgent{}, asking: map[model.NodeID]bool{}}
}

// want puts a node in the line whose agent has to be asked.
func (l *line) want(id model.NodeID) {
	if !l.asking[id] && l.hellos[id] == nil && !l.window.Flying(id) {
		l.asking[id] = true
		l.ask = append(l.ask, id)
	}
}

// came puts a node in the line whose Hello is here; a newer one takes the place of the one before.
func (l *line) came(id model.NodeID, m *msg.FromAgent) {
	n, old := len(m.Message.GetHello().GetSlots()), l.hellos[id]
	if old != nil {
		l.slots -= len(old.Message.GetHello().GetSlots())
	} else if l.slots+n > waitingSlotsMax {
		l.want(id)
		return
	} else {
		l.here = append(l.here, id)
	}
	l.slots += n
	l.hellos[id] = m
}

// next takes the first out of the line for whom there is room; its Hello is nil if the agent has to be asked.
func (l *line) next() (id model.NodeID, hello *msg.FromAgent, ok bool) {
	if len(l.here) > 0 && l.window.Free(false) {
		id, l.here = l.here[0], l.here[1:]
		hello = l.hellos[id]
		delete(l.hellos, id)
		l.slots -= len(hello.Message.GetHello().GetSlots())
		return id, hello, true
	}
	for len(l.ask) > 0 && len(l.here) == 0 && l.window.Free(true) {
		id, l.ask = l.ask[0], l.ask[1:]
		if l.asking[id] {
			delete(l.asking, id)
			return id, nil, true
		}
	}
	return "", nil, false
}

func (l *line) empty() bool { return len(l.here)+len(l.ask) == 0 }

// advance is the timer that looks whether places have become free because nobody answers.
type advance struct{}

// hello lets an agent begin a session when it is its turn: at once, if it was asked or there is room.
func (s *Supervisor) hello(ctx *kit.Context, m *msg.FromAgent) {
	id := model.NodeID(m.Message.GetNode())
	if s.line.window.Flying(id) {
		s.line.window.Weigh(id, len(m.Message.GetHello().GetSlots()))
		s.pass(ctx, m)
		return
	}
	s.line.came(id, m)
	delete(s.line.asking, id)
	s.advance(ctx)
	if s.line.hellos[id] != nil {
		if ref, known := s.children.Get(string(id)); known {
			ctx.Tell(ref, &knock{})
		}
	}
}

// advance gives turns as far as the window allows.
func (s *Supervisor) advance(ctx *kit.Context) {
	now, w := ctx.Now(), s.line.window
	w.Expire(now)
	w.Nodes(s.children.Len())
	for {
		id, hello, ok := s.line.next()
		if !ok {
			break
		}
		ref, known := s.children.Get(string(id))
		switch {
		case hello != nil:
			w.Begin(id, false, now)
			w.Weigh(id, len(hello.Message.GetHello().GetSlots()))
			s.pass(ctx, hello)
		case known:
			w.Begin(id, true, now)
			ctx.Tell(ref, &turn{})
		}
	}
	if !s.line.empty() && !s.advancing {
		s.advancing = true
		ctx.After("advance", advanceEvery, advance{})
	}
}
