package kit

// Supervisor is a Behavior that starts children in order and stops them in reverse. No child handles a message before
// all are spawned and Ready has returned, so that siblings can hold each other's refs from their first message on.
type Supervisor struct {
	Children []Spec
	// Ready is called with the children's refs, in order, once all are started.
	Ready func(ctx *Context, refs []Ref)

	live     []Ref
	stopping bool
}

// Receive implements Behavior.
func (s *Supervisor) Receive(ctx *Context, message any) {
	switch m := message.(type) {
	case Started:
		units := make([]*unit, 0, len(s.Children))
		for _, spec := range s.Children {
			u, err := ctx.spawn(spec, true)
			if err != nil {
				panic(err) // a name used twice in the table of the tree
			}
			units = append(units, u)
			s.live = append(s.live, u.ref)
		}
		if s.Ready != nil {
			s.Ready(ctx, s.live)
		}
		for _, u := range units {
			u.mailbox.open()
		}
	case *Shutdown:
		s.stopping = true
		s.stopLast(ctx)
	case *ChildStopped:
		for i, ref := range s.live {
			if ref.Id == m.Ref.Id {
				s.live = append(s.live[:i:i], s.live[i+1:]...)
				break
			}
		}
		if s.stopping {
			s.stopLast(ctx)
		}
	}
}

// stopLast stops the youngest child, which may be a Supervisor of its own; the next goes when it has ended.
func (s *Supervisor) stopLast(ctx *Context) {
	if len(s.live) == 0 {
		ctx.StopSelf()
		return
	}
	ctx.Tell(s.live[len(s.live)-1], &Shutdown{})
}
