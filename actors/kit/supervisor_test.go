package kit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// noting is an actor that notes its start and end.
func (l *lab) noting(name string) Spec {
	return spec(name, func(_ *Context, m any) {
		switch m.(type) {
		case Started:
			l.add("+%s", name)
		case Stopping:
			l.add("-%s", name)
		case string:
			l.add("%s %v", name, m)
		}
	})
}

func (l *lab) sup(name string, children ...Spec) Spec {
	return Spec{Name: name, New: func() Behavior { return &Supervisor{Children: children} }}
}

func TestTrap19_ShutdownIsInReverseOrderAllTheWayDown(t *testing.T) {
	for seed := range uint64(50) {
		l := &lab{t: t, st: spare.Next(seed, epoch)}
		l.sys = New(Config{Name: "lab", Stepper: l.st})
		_, err := l.sys.Start(l.sup("top",
			l.noting("a"),
			l.sup("b", l.noting("b1"), l.noting("b2"), l.noting("b3")),
			l.noting("c")))
		if err != nil {
			t.Fatal(err)
		}
		l.settle()
		if err := l.sys.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.settle()
		got := slices.DeleteFunc(l.all(), func(s string) bool { return s[0] == '+' })
		if want := []string{"-c", "-b3", "-b2", "-b1", "-a"}; !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %q, want %q", seed, got, want)
		}
		if l.sys.Err() != ErrEnded {
			t.Fatalf("seed %d: %v", seed, l.sys.Err())
		}
	}
}

func TestTrap19_WhatCameBeforeAShutdownIsHandled(t *testing.T) {
	l := newLab(t, 1)
	s := l.noting("a")
	s.Mailbox = 3
	ref := l.spawn(l.sup("sup", s))
	child := l.sys.root.children["top"].children["sup"].children["a"].ref
	_ = ref
	l.do(func(ctx *Context) {
		for i := range 3 {
			ctx.Tell(child, fmt.Sprint(i))
		}
		ctx.Tell(child, &Shutdown{}) // the mailbox is full, but this is never refused
		ctx.Tell(child, "late")
	})
	got := l.all()
	for _, want := range []string{"+a", "a 0", "a 1", "a 2", "-a", "busy a late"} {
		if !slices.Contains(got, want) {
			t.Fatalf("no %q in %q", want, got)
		}
	}
}

func TestTrap19_AFullMailboxDoesNotHoldUpStop(t *testing.T) {
	gate, blocked := make(chan struct{}), make(chan struct{}, 1)
	child := spec("a", func(_ *Context, m any) {
		if m == "block" {
			blocked <- struct{}{}
			<-gate
		}
	})
	child.Mailbox = 1
	var ref Ref
	ready := make(chan struct{})
	sys, _ := realSystem(t, Spec{Name: "top", New: func() Behavior {
		return &Supervisor{Children: []Spec{child}, Ready: func(_ *Context, refs []Ref) {
			ref = refs[0]
			close(ready)
		}}
	}})
	hear(t, ready)
	sys.Tell(ref, "block")
	hear(t, blocked)
	sys.Tell(ref, "fills the mailbox")
	done := make(chan error)
	go func() { done <- sys.Stop(soon(t)) }()
	until(t, "the shutdown waits at the child", func() bool { return find(sys, "top/a").Mailbox == 2 })
	close(gate)
	if err := hear(t, done); err != nil {
		t.Fatal(err)
	}
}

func TestTrap19_OrdersToEndDoNotPileUp(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(l.noting("a"))
	l.do(func(ctx *Context) {
		for range 100 {
			ctx.Tell(ref, Retire{})
			ctx.Tell(ref, &Shutdown{})
		}
		if n := l.find("top/a").Mailbox; n != 1+int(lanes) {
			t.Errorf("%d wait, want a Shutdown, and a mark of the Retire in each lane", n)
		}
	})
	l.want(t, "+a", "-a", "ended a failed=false")
}

// A supervisor that fails while it stops its children is not restarted: it would start them all again.
func TestTrap19_AFailureDuringShutdownDoesNotUndoIt(t *testing.T) {
	for seed := range uint64(200) {
		l := newLab(t, seed)
		fails := spec("fails", func(ctx *Context, m any) {
			if _, is := m.(string); is {
				panic("while the others stop")
			}
		})
		s := l.sup("sup", fails, l.noting("b"), l.noting("c"))
		s.Limit = Limit{Max: 0, Per: 1}
		ref := l.spawn(s)
		child := l.sys.root.children["top"].children["sup"].children["fails"].ref
		l.sys.Tell(ref, &Shutdown{})
		l.sys.Tell(child, "x")
		l.settle()
		if l.find("top/sup") != nil {
			t.Fatalf("seed %d: it does not end: %q", seed, l.all())
		}
		// It may have failed before it came to the Shutdown, which then waited for the next incarnation.
		if n := strings.Count(strings.Join(l.all(), " "), "+b"); n > 2 {
			t.Fatalf("seed %d: %d starts", seed, n)
		}
	}
}

func TestB57_SiblingsKnowEachOtherBeforeTheirFirstMessage(t *testing.T) {
	for seed := range uint64(50) {
		l := newLab(t, seed)
		var refs []Ref
		child := func(name string) Spec {
			return spec(name, func(ctx *Context, m any) {
				if _, is := m.(Started); is {
					for _, to := range refs {
						ctx.Tell(to, name)
					}
				}
			})
		}
		l.spawn(Spec{Name: "sup", New: func() Behavior {
			return &Supervisor{
				Children: []Spec{child("a"), child("b"), l.noting("c")},
				Ready:    func(_ *Context, r []Ref) { refs = r },
			}
		}})
		got := l.all()
		if got[0] != "+c" || !slices.Contains(got, "c a") || !slices.Contains(got, "c b") || l.sys.DeadLetters() != 0 {
			t.Fatalf("seed %d: %q", seed, got)
		}
	}
}

// Children that wait for their siblings must end when the supervisor fails before it lets them go.
func TestB57_ASupervisorThatFailsBeforeItIsReadyComesBack(t *testing.T) {
	for seed := range uint64(50) {
		l := newLab(t, seed)
		tries := 0
		l.spawn(Spec{Name: "sup", New: func() Behavior {
			return &Supervisor{Children: []Spec{l.noting("a"), l.noting("b")}, Ready: func(ctx *Context, refs []Ref) {
				ctx.Tell(refs[0], "hello")
				if tries++; tries < 3 {
					panic("not ready")
				}
			}}
		}})
		got := l.all()
		slices.Sort(got)
		if n := l.find("top/sup"); n.Restarts != 2 || !slices.Equal(got, []string{"+a", "+b", "a hello"}) {
			t.Fatalf("seed %d: %d restarts, %q", seed, n.Restarts, got)
		}
		if d := l.sys.DeadLetters(); d != 2 {
			t.Fatalf("seed %d: %d dead letters, want those to the children that never started", seed, d)
		}
	}
}

func TestASupervisorGivesTheRestToRest(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(Spec{Name: "sup", New: func() Behavior {
		return &Supervisor{Rest: func(_ *Context, m any) { l.add("rest %v", m) }}
	}})
	bare := l.spawn(l.sup("bare"))
	l.do(func(ctx *Context) {
		ctx.Tell(ref, "x")
		ctx.Tell(bare, "y")
	})
	l.want(t, "rest x")
	if l.sys.Stats().Unhandled != 1 {
		t.Fatal("a message nobody knew was not counted")
	}
}

// embeds has a Supervisor inside, and its order of stopping.
type embeds struct {
	Supervisor
	l *lab
}

func (e *embeds) Receive(ctx *Context, m any) {
	if s, is := m.(string); is {
		e.l.add("own %s", s)
		return
	}
	e.Supervisor.Receive(ctx, m)
}

func TestABehaviorThatEmbedsASupervisorStopsInOrder(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(Spec{Name: "sup", New: func() Behavior {
		return &embeds{l: l, Supervisor: Supervisor{Children: []Spec{l.noting("a"), l.noting("b"), l.noting("c")}}}
	}})
	l.do(func(ctx *Context) {
		ctx.Tell(ref, "x")
		ctx.Tell(ref, &Shutdown{})
		ctx.Tell(ref, &Shutdown{})
	})
	got := slices.DeleteFunc(l.all(), func(s string) bool { return s[0] == '+' })
	if want := []string{"own x", "-c", "-b", "-a", "ended sup failed=false"}; !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}

func TestTheTreeShowsNamesRestartsAndDepth(t *testing.T) {
	l := newLab(t, 1)
	l.spawn(l.branch("sup", 2, func(i int, s *Spec) { s.Mailbox = 5 }))
	l.fail("top/sup/leaf1")
	l.fail("top/sup/leaf1")
	leaf := l.sys.root.children["top"].children["sup"].children["leaf0"].ref
	for range 7 {
		l.sys.Tell(leaf, "waits")
	}
	var got []string
	l.sys.Tree().Walk(func(path string, n Node) {
		got = append(got, fmt.Sprintf("%s restarts=%d mailbox=%d/%d refused=%d", path, n.Restarts, n.Mailbox, n.MailboxMax, n.Refused))
	})
	want := []string{
		"top restarts=0 mailbox=0/8192 refused=0",
		"top/sup restarts=0 mailbox=0/8192 refused=0",
		"top/sup/leaf0 restarts=0 mailbox=5/5 refused=2",
		"top/sup/leaf1 restarts=2 mailbox=0/5 refused=0",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
	if st := l.sys.Stats(); st.Actors != 4 || st.Restarts != 2 || st.Refused != 2 {
		t.Fatalf("%+v", st)
	}
	l.sys.Stop(t.Context())
	l.settle()
	if n := l.sys.Tree(); n.Name != "lab" || n.Children != nil {
		t.Fatalf("%+v", n)
	}
}
