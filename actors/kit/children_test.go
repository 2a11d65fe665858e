package kit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// route is a message for the child of a key.
type route struct {
	key   string
	m     any
	start bool
}

// keyed is a supervisor of Children: it routes, retires and tells what it is told.
type keyed struct {
	Children
	t   *testing.T
	log func(format string, args ...any)
}

type retireKey string

func (k *keyed) Receive(ctx *Context, message any) {
	switch m := message.(type) {
	case route:
		ok, err := k.Forward(ctx, m.key, m.m, m.start)
		if err != nil || !ok {
			k.log("%s not taken: %v", m.key, err)
		}
	case retireKey:
		k.Children.Retire(ctx, string(m))
	case *ChildStopped:
		key, ok := k.Stopped(ctx, m)
		k.log("gone %s %v failed=%v", key, ok, m.Failed)
	case func(*Context, *keyed):
		m(ctx, k)
	}
}

// keyedSpec makes a supervisor whose children behave as child says.
func keyedSpec(t *testing.T, log func(string, ...any), child func(key string) Spec, limit int) Spec {
	return Spec{Name: "keyed", Mailbox: 1 << 16, New: func() Behavior {
		return &keyed{t: t, log: log, Children: Children{Spec: child, Max: limit}}
	}}
}

// diary is a child that notes what it gets, fails on "boom" and stops when told to retire.
func (l *lab) diary(key string) Spec {
	return spec("", func(ctx *Context, m any) {
		switch m := m.(type) {
		case Started:
			l.add("%s+%d", key, m.Incarnation)
		case Stopping:
			l.add("%s-", key)
		case Retire:
			ctx.StopSelf()
		case string, bulk:
			l.add("%s %v", key, m)
			if m == "boom" {
				panic("boom")
			}
		}
	})
}

func TestW1_EventsOfOneKeyNeverInterleaveAndKeysRunInParallel(t *testing.T) {
	const keys, events = 8, 300
	var inside [keys]atomic.Int32
	var order [keys]int // guarded by nothing: the race detector tells if two events of a key run at once
	left := make(chan struct{}, keys)
	meet := make(chan struct{})
	child := func(key string) Spec {
		i := int(key[0] - '0')
		return spec("", func(ctx *Context, m any) {
			n, is := m.(int)
			if !is {
				return
			}
			if inside[i].Add(1) != 1 {
				t.Errorf("two events of key %d at once", i)
			}
			switch {
			case n == 0 && i == 0: // two keys meet inside their handlers: they do run in parallel
				meet <- struct{}{}
			case n == 0 && i == 1:
				<-meet
			}
			if n != order[i] {
				t.Errorf("key %d: event %d, want %d", i, n, order[i])
			}
			order[i]++
			inside[i].Add(-1)
			if n == events-1 {
				left <- struct{}{}
			}
		})
	}
	sys, top := realSystem(t, keyedSpec(t, t.Errorf, child, keys))
	for n := range events {
		for i := range keys {
			sys.Tell(top, route{fmt.Sprint(i), n, true})
		}
	}
	for range keys {
		hear(t, left)
	}
}

func TestW5_AKeyRetiresAndComesBackAndNothingIsLost(t *testing.T) {
	for seed := range uint64(300) {
		l := newLab(t, seed)
		ref := l.spawn(keyedSpec(t, l.add, l.diary, 4))
		alive := 0
		for i := range 12 {
			l.sys.Tell(ref, route{"a", fmt.Sprint(i), true})
			l.sys.Tell(ref, route{"a", bulk(i), true})
			if i%3 == 2 {
				l.sys.Tell(ref, retireKey("a"))
			}
		}
		l.settle()
		var normal, slow []string
		for _, line := range l.all() {
			switch {
			case line == "a+1":
				alive++
			case line == "a-":
				alive--
			case strings.HasPrefix(line, "a bulk"):
				slow = append(slow, line)
			case strings.HasPrefix(line, "a "):
				normal = append(normal, line)
			case strings.HasPrefix(line, "lost") || strings.HasPrefix(line, "busy"):
				t.Fatalf("seed %d: %s", seed, line)
			}
			if alive < 0 || alive > 1 {
				t.Fatalf("seed %d: %d children of one key: %q", seed, alive, l.all())
			}
		}
		for i := range 12 {
			if normal[i] != fmt.Sprintf("a %d", i) || slow[i] != fmt.Sprintf("a bulk %d", i) {
				t.Fatalf("seed %d: out of order: %q", seed, l.all())
			}
		}
		if l.sys.DeadLetters() != 0 || l.sys.Refused() != 0 {
			t.Fatalf("seed %d: %d lost, %d refused", seed, l.sys.DeadLetters(), l.sys.Refused())
		}
	}
}

func TestW5_ARetireGetsThroughAFullMailbox(t *testing.T) {
	l := newLab(t, 1)
	full := func(key string) Spec {
		s := l.diary(key)
		s.Mailbox = 2
		return s
	}
	ref := l.spawn(keyedSpec(t, l.add, full, 4))
	l.do(func(ctx *Context) { ctx.Tell(ref, route{"a", "first", true}) })
	l.do(func(ctx *Context) {
		ctx.Tell(ref, func(ctx *Context, k *keyed) {
			for i := range 4 {
				if ok, err := k.Forward(ctx, "a", fmt.Sprint(i), false); !ok || err != nil {
					t.Errorf("%v, %v", ok, err)
				}
			}
			k.Children.Retire(ctx, "a")
			k.Children.Retire(ctx, "a")
			if _, ok := k.Get("a"); ok || k.Len() != 1 {
				t.Error("a leaving child is still handed out")
			}
			if _, err := k.Start(ctx, "a"); !errors.Is(err, ErrLeaving) {
				t.Errorf("got %v, want ErrLeaving", err)
			}
		})
	})
	want := []string{"a+1", "a first", "a 0", "a 1", "a-", "busy a 2", "busy a 3", "gone a true failed=false"}
	got := l.all()
	for i := range got {
		if strings.HasPrefix(got[i], "busy") { // names carry a number
			got[i] = "busy a" + got[i][strings.LastIndexByte(got[i], ' '):]
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

func TestW5_WhoDoesNotStartAChildDoesNotBringOneBack(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(keyedSpec(t, l.add, l.diary, 4))
	l.do(func(ctx *Context) {
		ctx.Tell(ref, func(ctx *Context, k *keyed) {
			forward := func(m string, start, want bool) {
				if ok, err := k.Forward(ctx, "a", m, start); ok != want || err != nil {
					t.Errorf("%s: %v, %v", m, ok, err)
				}
			}
			forward("no child", false, false)
			forward("one", true, true)
			k.Children.Retire(ctx, "a")
			forward("leaving", false, false)
			forward("two", true, true)
			forward("a successor comes anyway", false, true)
		})
	})
	l.want(t, "a+1", "a one", "a-", "gone a true failed=false", "a+1", "a two", "a a successor comes anyway")
}

func TestW5_WhatWaitsForASuccessorIsBounded(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(keyedSpec(t, l.add, l.diary, 4))
	l.do(func(ctx *Context) {
		ctx.Tell(ref, func(ctx *Context, k *keyed) {
			if _, err := k.Start(ctx, "a"); err != nil {
				t.Error(err)
			}
			k.Children.Retire(ctx, "a")
			for range waitingMax {
				if ok, err := k.Forward(ctx, "a", "x", true); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			if ok, err := k.Forward(ctx, "a", "x", true); ok || !errors.Is(err, ErrBusy) {
				t.Errorf("%v, %v", ok, err)
			}
		})
	})
	if n := len(l.all()); n != waitingMax+4 {
		t.Fatalf("%d lines", n)
	}
}

// What a supervisor keeps for successors is answered when it ends or fails.
func TestW5_WhatWaitsForASuccessorIsAnsweredWhenTheSupervisorEnds(t *testing.T) {
	for _, end := range []string{"fails", "stops"} {
		l := newLab(t, 1)
		ref := l.spawn(keyedSpec(t, l.add, l.diary, 4))
		l.do(func(ctx *Context) {
			ctx.Tell(ref, func(ctx *Context, k *keyed) {
				if _, err := k.Start(ctx, "a"); err != nil {
					t.Error(err)
				}
				k.Children.Retire(ctx, "a")
				for _, m := range []string{"x", "y"} {
					if ok, err := k.Forward(ctx, "a", m, true); !ok || err != nil {
						t.Error(ok, err)
					}
				}
				if end == "fails" {
					panic("with messages in hand")
				}
				ctx.StopSelf()
			})
		})
		lost := slices.DeleteFunc(l.all(), func(s string) bool { return !strings.HasPrefix(s, "lost") })
		if len(lost) != 2 || !strings.HasSuffix(lost[0], " x") || !strings.HasSuffix(lost[1], " y") || l.sys.DeadLetters() != 2 {
			t.Fatalf("%s: got %q", end, l.all())
		}
	}
}

func TestW6_ACrashFreesTheKey(t *testing.T) {
	for _, restart := range []Restart{Permanent, Temporary} {
		l := newLab(t, 1)
		ref := l.spawn(keyedSpec(t, l.add, func(key string) Spec {
			s := l.diary(key)
			s.Restart = restart
			return s
		}, 4))
		for _, m := range []string{"one", "boom", "two"} {
			l.sys.Tell(ref, route{"a", m, true})
			l.settle()
		}
		want := []string{"a+1", "a one", "a boom", "a+2", "a two"}
		if restart == Temporary {
			want = []string{"a+1", "a one", "a boom", "gone a true failed=true", "a+1", "a two"}
		}
		l.want(t, want...)
	}
}

// The new incarnation of a child would not know that it was to leave, and its key would be held for ever.
func TestW6_ACrashWhileLeavingFreesTheKey(t *testing.T) {
	for seed := range uint64(100) {
		l := newLab(t, seed)
		ref := l.spawn(keyedSpec(t, l.add, func(key string) Spec {
			return spec("", func(_ *Context, m any) {
				switch m.(type) {
				case Retire:
					panic("cannot leave")
				case string:
					l.add("%s %v", key, m)
				}
			})
		}, 4))
		l.sys.Tell(ref, route{"a", "one", true})
		l.sys.Tell(ref, retireKey("a"))
		l.sys.Tell(ref, route{"a", "two", true})
		l.settle()
		l.want(t, "a one", "gone a true failed=true", "a two")
	}
}

func TestChildrenAreBounded(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(keyedSpec(t, l.add, l.diary, 2))
	for _, key := range []string{"b", "a", "c", "a"} {
		l.sys.Tell(ref, route{key, "x", true})
		l.settle()
	}
	l.want(t, "b+1", "b x", "a+1", "a x", "c not taken: "+ErrTooMany.Error(), "a x")
	l.do(func(ctx *Context) {
		ctx.Tell(ref, func(ctx *Context, k *keyed) {
			var keys []string
			k.Each(func(key string, ref Ref) {
				keys = append(keys, key)
				k.Children.Retire(ctx, key)
			})
			if !slices.Equal(keys, []string{"a", "b"}) {
				t.Errorf("Each gave %q", keys)
			}
			k.Each(func(key string, _ Ref) { t.Errorf("Each gave %s, which is leaving", key) })
		})
	})
	l.sys.Tell(ref, route{"c", "x", true})
	l.settle()
	if got := l.all(); got[len(got)-1] != "c x" {
		t.Fatalf("no room after two have left: %q", got)
	}
}

func TestChildrenMayHaveSlashesInTheirKeys(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(keyedSpec(t, l.add, l.diary, 4))
	l.sys.Tell(ref, route{"queue/job", "boom", true})
	l.sys.Tell(ref, route{"queue/job", "after", true})
	l.sys.Tell(ref, retireKey("queue/job"))
	l.settle()
	l.want(t, "queue/job+1", "queue/job boom", "queue/job+2", "queue/job after", "queue/job-", "gone queue/job true failed=false")
}

// An address of a child that has ended must never mean another child, not even after its supervisor began anew.
func TestAnOldAddressOfAChildIsDead(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(keyedSpec(t, l.add, l.diary, 4))
	var old Ref
	l.do(func(ctx *Context) {
		ctx.Tell(ref, func(ctx *Context, k *keyed) {
			var err error
			if old, err = k.Start(ctx, "a"); err != nil {
				t.Error(err)
			}
		})
		ctx.Tell(ref, func(*Context, *keyed) { panic("anew") })
		ctx.Tell(ref, route{"a", "x", true})
	})
	l.do(func(ctx *Context) { ctx.Tell(old, "to whom?") })
	l.want(t, "a+1", "a-", "a+1", "a x", "lost "+NameOf(old)+" to whom?")
}

func TestStashKeepsOrderAndSendersAndIsBounded(t *testing.T) {
	l := newLab(t, 1)
	stash := Stash{Max: 3}
	ref := l.spawn(spec("a", func(ctx *Context, m any) {
		switch m {
		case "open":
			stash.Drain(ctx, func(ctx *Context, m any) {
				l.add("%v from %v", m, ctx.Sender() == l.top)
				if m == "1" && !stash.Add(ctx, "again") {
					t.Error("no room")
				}
			})
			l.add("then from %v, %d kept", ctx.Sender() == l.top, stash.Len())
		case "boom":
			panic("with messages in hand")
		default:
			if s, is := m.(string); is && !stash.Add(ctx, m) {
				l.add("full at %s", s)
			}
		}
	}))
	l.sys.Tell(ref, "1")
	l.do(func(ctx *Context) {
		for _, m := range []string{"2", "3", "4"} {
			ctx.Tell(ref, m)
		}
	})
	l.sys.Tell(ref, "open")
	l.settle()
	l.do(func(ctx *Context) {
		ctx.Tell(ref, "kept")
		ctx.Tell(ref, "boom")
	})
	l.want(t, "full at 4", "1 from false", "2 from true", "3 from true", "then from false, 1 kept", "lost a kept")
	if l.sys.DeadLetters() != 2 {
		t.Fatalf("%d dead letters, want 2", l.sys.DeadLetters())
	}
}
