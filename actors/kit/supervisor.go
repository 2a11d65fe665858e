package kit

import "slices"

// Supervisor is a Behavior that starts children in order and stops them in reverse. No child handles a message before
// all are spawned and Ready has returned, so that siblings can hold each other's refs from their first message on.
// Messages other than its own go to Rest, if set.
type Supervisor struct {
	Children []Spec
	// Ready is called with the children's refs, in order, once all are started.
	Ready func(ctx *Context, refs []Ref)
	// Rest gets the messages that are not a Supervisor's own.
	Rest func(ctx *Context, message any)

	live     []Ref
	stopping bool
}

// orderly is a Behavior that stops its children itself.
type orderly interface{ stopsChildren() }

func (*Supervisor) stopsChildren() {}

// Receive implements Behavior.
func (s *Supervisor) Receive(ctx *Context, message any) {
	switch m := message.(type) {
	case Started:
		s.start(ctx)
	case *Shutdown:
		s.stopping = true
		s.stopLast(ctx)
	case *ChildStopped:
		s.stopped(ctx, m)
	default:
		if s.Rest != nil {
			s.Rest(ctx, message)
			return
		}
		ctx.Unhandled(message)
	}
}

func (s *Supervisor) start(ctx *Context) {
	s.live, s.stopping = nil, false
	units := make([]*unit, 0, len(s.Children))
	for _, spec := range s.Children {
		u, err := ctx.spawn(spec, true)
		if err != nil {
			panic(err) // a mistake in the table of the tree
		}
		units = append(units, u)
		s.live = append(s.live, u.ref)
	}
	if s.Ready != nil {
		s.Ready(ctx, slices.Clone(s.live))
	}
	for _, u := range units {
		u.mailbox.open()
	}
}

func (s *Supervisor) stopped(ctx *Context, m *ChildStopped) {
	for i, ref := range s.live {
		if ref.Id == m.Ref.Id {
			s.live = append(s.live[:i:i], s.live[i+1:]...)
			break
		}
	}
	if s.stopping {
		s.stopLast(ctx)
		return
	}
	ctx.Log().Warn("child ended", "child", m.Name, "failed", m.Failed)
}

// stopLast stops the youngest child, which may be a Supervisor of its own; the next goes when it has ended.
func (s *Supervisor) stopLast(ctx *Context) {
	if len(s.live) == 0 {
		ctx.StopSelf()
		return
	}
	ctx.Tell(s.live[len(s.live)-1], &Shutdown{})
}
