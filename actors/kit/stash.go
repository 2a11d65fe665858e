package kit

// Stash keeps messages that an actor cannot handle yet, in order and with their senders, up to Max. The engine's own
// stash turns the order round and loses the sender.
type Stash struct {
	Max   int
	items []waiting
}

// Add keeps the message being handled. It returns false when the stash is full: refuse it then.
func (s *Stash) Add(ctx *Context, message any) bool {
	if len(s.items) >= s.Max {
		return false
	}
	s.items = append(s.items, waiting{message, ctx.Sender()})
	return true
}

// Drain handles all kept messages, in order, each as if it came from its sender now.
func (s *Stash) Drain(ctx *Context, handle func(ctx *Context, message any)) {
	items := s.items
	s.items = nil
	defer func() { ctx.sender = nil }()
	for _, w := range items {
		ctx.sender = w.sender
		if w.sender == nil {
			ctx.sender = nobody
		}
		handle(ctx, w.message)
	}
}
