package kit

import (
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A callback that an incarnation has given away reaches the next one, as a message in its own turn; the engine's
// continuations run on the state of the one that failed.
func TestTrap10_AnOldCallbackIsAMessageToTheNewIncarnation(t *testing.T) {
	l := newLab(t, 1)
	var tell func(any)
	ref := l.spawn(Spec{Name: "a", New: func() Behavior {
		incarnation := 0
		return act(func(ctx *Context, m any) {
			switch m := m.(type) {
			case Started:
				if incarnation = m.Incarnation; incarnation == 1 {
					tell = ctx.Teller()
				}
			case error:
				panic(m)
			case string:
				l.add("%s for %d", m, incarnation)
			}
		})
	}})
	tell("before")
	l.settle()
	l.sys.Tell(ref, errBoom)
	l.settle()
	tell("after")
	l.settle()
	l.want(t, "before for 1", "after for 2")
}

// The engine's backoff waits longer and longer and never gives up, while mailboxes grow. Here a restart comes at once,
// and past the limit there is none.
func TestTrap14_RestartsComeAtOnceAndEnd(t *testing.T) {
	l := newLab(t, 1, func(s *Spec) { s.Limit = Limit{Max: 3, Per: time.Hour} })
	l.spawn(Spec{Name: "a", New: func() Behavior {
		return act(func(_ *Context, m any) {
			if _, is := m.(Started); is {
				l.add("started at %v", l.st.Now().Sub(epoch))
				panic(errBoom)
			}
		})
	}})
	l.pass(time.Hour)
	l.want(t, "started at 0s", "started at 0s", "started at 0s", "started at 0s")
	if l.sys.Err() == nil {
		t.Error("an actor that fails whenever it starts is tried for ever")
	}
}

// No mailbox is without a bound: who names none gets the default.
func TestTrap14_EveryMailboxIsBounded(t *testing.T) {
	l := newLab(t, 1)
	ref := l.spawn(spec("a", func(*Context, any) {}))
	if n := l.find("top/a"); n.MailboxMax != DefaultMailbox {
		t.Fatalf("the bound is %d", n.MailboxMax)
	}
	for range DefaultMailbox + 5 {
		l.sys.Tell(ref, "x")
	}
	if n := l.find("top/a"); n.Mailbox != DefaultMailbox || n.Refused != 5 {
		t.Errorf("%d wait, %d were refused", n.Mailbox, n.Refused)
	}
	l.settle()
}

// Of the engine its actors alone are used: its persistence loses the sender after a snapshot, its remote stops reading at
// the first bad message. A System shows nothing of it either: handlers of its event stream run in the publisher's turn.
func TestTrap23And24And25_OnlyTheActorsOfTheEngineAreUsed(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			switch path, _ := strconv.Unquote(spec.Path.Value); {
			case path == "github.com/asynkron/protoactor-go/actor":
				used++
			case path == "github.com/asynkron/protoactor-go/eventstream" && file.Name() == "engine.go": // to put its own listeners out
			case strings.HasPrefix(path, "github.com/asynkron/"):
				t.Errorf("%s imports %s", file.Name(), path)
			}
		}
	}
	if used == 0 {
		t.Error("no file imports the engine: this test looks in the wrong place")
	}
	typ := reflect.TypeFor[*System]()
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		for j := range m.Type.NumOut() {
			if out := m.Type.Out(j); strings.Contains(out.String(), "actor.") && out != reflect.TypeFor[Ref]() {
				t.Errorf("System.%s gives %s of the engine away", m.Name, out)
			}
		}
		if name := m.Name; strings.Contains(name, "EventStream") || strings.Contains(name, "Subscribe") {
			t.Errorf("System offers %s", name)
		}
	}
}
