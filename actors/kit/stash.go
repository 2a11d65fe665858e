package kit

// Stash keeps messages that an actor cannot handle yet, in order and with their senders, up to Max. The engine's own
// stash turns the order round and loses the sender. When the incarnation ends, what is still kept is lost, and said so.
type Stash struct {
	Max   int
	items []waiting
	bound *shell
}

// Add keeps the message being handled. It returns false when the stash is full: refuse it then.
func (s *Stash) Add(ctx *Context, message any) bool {
	if len(s.items) >= s.Max {
		return false
	}
	if s.bound != ctx.shell {
		s.bound = ctx.shell
		ctx.shell.keeps = append(ctx.shell.keeps, s)
	}
	s.items = append(s.items, waiting{message, ctx.Sender()})
	return true
}

// Len is how many messages are kept.
func (s *Stash) Len() int { return len(s.items) }

// Drain handles all kept messages, in order, each as if it came from its sender now. If handling one fails, those behind
// it are lost with the incarnation. A message added meanwhile is kept for the next Drain.
func (s *Stash) Drain(ctx *Context, handle func(ctx *Context, message any)) {
	sh := ctx.shell
	sender, current := sh.sender, sh.current
	for n := len(s.items); n > 0; n-- {
		w := s.items[0]
		s.items[0] = waiting{}
		if s.items = s.items[1:]; len(s.items) == 0 {
			s.items = nil
		}
		sh.sender, sh.current = w.sender, w.message
		handle(ctx, w.message)
	}
	sh.sender, sh.current = sender, current
}

// abandon implements keeper.
func (s *Stash) abandon(u *unit) {
	for _, w := range s.items {
		u.system.lost(u.ref, w.message, w.sender)
	}
	s.items = nil
}
