package kit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// tape is a tap that writes down what passes, and keeps what was heard.
type tape struct {
	lines []string
	heard []heard
}

type heard struct {
	at      time.Time
	from    Ref
	message any
}

func (t *tape) Heard(now time.Time, from Ref, message any) {
	t.lines = append(t.lines, fmt.Sprintf("%s heard %v from %s", now.UTC().Format("05.000"), message, NameOf(from)))
	t.heard = append(t.heard, heard{now, from, message})
}
func (t *tape) Said(_, to Ref, message any) {
	t.lines = append(t.lines, fmt.Sprintf("said %v to %s", message, NameOf(to)))
}
func (t *tape) Noted(note any) { t.lines = append(t.lines, fmt.Sprintf("noted %v", note)) }

// clerk answers numbers with what they are with all before, notes the even ones, and fails over 13.
func clerk() act {
	sum := 0
	return func(ctx *Context, m any) {
		switch n := m.(type) {
		case int:
			if n == 13 {
				panic("13")
			}
			if sum += n; n%2 == 0 {
				ctx.Note(n)
			}
			ctx.Reply(sum)
			ctx.After("soon", time.Second, "tick")
		case string:
			ctx.Tell(ctx.Self(), fmt.Sprint(ctx.Now().Second()))
		}
	}
}

func TestX2_WhatATapHeardGivesTheSameAgainInARehearsal(t *testing.T) {
	st := NewStepper(1, time.Unix(0, 0))
	sys := New(Config{Stepper: st})
	first := &tape{}
	var refs []Ref
	if _, err := sys.Start(Spec{Name: "top", New: func() Behavior {
		return &Supervisor{
			Children: []Spec{{Name: "clerk", New: func() Behavior { return clerk() }, Tap: first}},
			Ready:    func(_ *Context, r []Ref) { refs = r },
		}
	}}); err != nil {
		t.Fatal(err)
	}
	for refs == nil {
		st.Step(st.Now())
	}
	asker := sys.Port("asker", func(any, Ref) {})
	for _, n := range []int{1, 2, 3, 13, 4} {
		sys.TellFrom(asker, refs[0], n)
	}
	for range 60 {
		st.Step(st.Now().Add(time.Minute))
	}
	if len(first.heard) < 10 {
		t.Fatalf("only %d messages were heard: %q", len(first.heard), first.lines)
	}
	second := &tape{}
	var r *Rehearsal
	for _, h := range first.heard {
		if _, begins := h.message.(Started); begins {
			r = NewRehearsal(refs[0], clerk())
		}
		second.Heard(h.at, h.from, h.message)
		said, notes, err := r.Hear(h.at, h.from, h.message)
		if (err != nil) != (h.message == 13) {
			t.Fatalf("%v: %v", h.message, err)
		}
		for _, n := range notes {
			second.Noted(n)
		}
		for _, s := range said {
			second.Said(s.From, s.To, s.Message)
		}
	}
	if !slices.Equal(first.lines, second.lines) {
		t.Fatalf("once\n%s\nand again\n%s", strings.Join(first.lines, "\n"), strings.Join(second.lines, "\n"))
	}
	if _, _, err := r.Hear(time.Unix(9, 0), nil, 13); err == nil {
		t.Fatal("it does not fail")
	}
	if _, _, err := r.Hear(time.Unix(9, 0), nil, 1); err == nil {
		t.Fatal("what has failed goes on")
	}
}
