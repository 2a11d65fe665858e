package kit

import (
	"cmp"
	"slices"
)

// Node is one actor in the live tree.
type Node struct {
	Name, Kind string
	// Restarts and Handled count over all incarnations; Refused counts messages that found the mailbox full.
	Restarts, Handled, Refused uint64
	// Mailbox is how many messages wait, in all lanes; Control and Bulk are those of them in these lanes. MailboxMax is the
	// limit of one lane.
	Mailbox, Control, Bulk, MailboxMax int
	Children                           []Node
}

// Walk calls fn for n and all below it, parents first, with the path of each from n.
func (n Node) Walk(fn func(path string, n Node)) { n.walk(n.Name, fn) }

func (n Node) walk(path string, fn func(string, Node)) {
	fn(path, n)
	for _, c := range n.Children {
		c.walk(path+"/"+c.Name, fn)
	}
}

// Tree is the live tree, children sorted by name.
func (s *System) Tree() Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		return Node{Name: s.name, Kind: s.name}
	}
	root := s.root.node()
	if len(root.Children) == 1 {
		return root.Children[0]
	}
	return root
}

// node is the tree below a unit; the caller holds System.mu.
func (u *unit) node() Node {
	u.mailbox.mu.Lock()
	n := Node{
		Name: u.spec.Name, Kind: cmp.Or(u.spec.Kind, u.spec.Name), Restarts: u.restarts(), Handled: u.mailbox.handled, Refused: u.mailbox.refused,
		Mailbox: u.mailbox.waiting(), MailboxMax: u.spec.Mailbox,
		Control: int(u.mailbox.lane[Control].n), Bulk: int(u.mailbox.lane[Bulk].n),
	}
	u.mailbox.mu.Unlock()
	for _, c := range u.children {
		n.Children = append(n.Children, c.node())
	}
	slices.SortFunc(n.Children, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return n
}

// Stats are counters of a whole system, of actors that live and of those that have ended. All but Actors only grow.
type Stats struct {
	// Actors that live.
	Actors int
	// Handled messages, Restarts of actors, Failures (panics, and supervisors that gave up).
	Handled, Restarts, Failures uint64
	// Refused messages found a full mailbox, DeadLetters reached nobody, Unhandled ones their actor did not know.
	Refused, DeadLetters, Unhandled uint64
}

// Stats of the system at this moment.
func (s *System) Stats() Stats {
	s.mu.Lock()
	sum := s.ended
	if s.root != nil {
		sum.add(s.root)
		sum.Actors-- // the root is not anybody's actor
	}
	s.mu.Unlock()
	sum.Failures, sum.Refused = s.failures.Load(), s.refused.Load()
	sum.DeadLetters, sum.Unhandled = s.deadLetters.Load(), s.ignored.Load()
	return sum
}

// add counts a unit and all below it; the caller holds System.mu.
func (sum *Stats) add(u *unit) {
	u.mailbox.mu.Lock()
	sum.Handled += u.mailbox.handled
	u.mailbox.mu.Unlock()
	sum.Actors++
	sum.Restarts += u.restarts()
	for _, c := range u.children {
		sum.add(c)
	}
}

// DeadLetters counts messages that reached nobody.
func (s *System) DeadLetters() uint64 { return s.deadLetters.Load() }

// Refused counts messages that a full mailbox refused.
func (s *System) Refused() uint64 { return s.refused.Load() }
