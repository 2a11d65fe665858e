package kit

import (
	"fmt"
	"slices"
	"testing"
)

// sent is a message with a lane of its own choice.
type sent struct {
	lane Lane
	n    int
}

func (s sent) Lane() Lane { return s.lane }

// laned fills the mailbox of one actor in one go and returns what it handled, in order.
func laned(t *testing.T, mailbox int, messages ...sent) []sent {
	l := newLab(t, 1)
	var got []sent
	s := spec("a", func(_ *Context, m any) {
		if m, is := m.(sent); is {
			got = append(got, m)
		}
	})
	s.Mailbox = mailbox
	ref := l.spawn(s)
	l.do(func(ctx *Context) {
		for _, m := range messages {
			ctx.Tell(ref, m)
		}
	})
	return got
}

func TestF34_ControlIsNotStarved(t *testing.T) {
	var in []sent
	for i := range 1000 {
		in = append(in, sent{Normal, i}, sent{Bulk, i})
	}
	in = append(in, sent{Control, 0}, sent{Control, 1})
	got := laned(t, 1000, in...)
	if len(got) != 2002 || got[0] != (sent{Control, 0}) || got[1] != (sent{Control, 1}) {
		t.Fatalf("%d handled, first %v", len(got), got[:2])
	}
}

func TestF34_BulkGetsItsShareAndNoMore(t *testing.T) {
	var in []sent
	for i := range 340 {
		in = append(in, sent{Normal, i})
	}
	for i := range 30 {
		in = append(in, sent{Bulk, i})
	}
	got := laned(t, 1000, in...)
	for i, m := range got[:340] {
		if want := i%(bulkShare+1) == bulkShare; (m.lane == Bulk) != want {
			t.Fatalf("place %d: %v", i, m)
		}
	}
	if len(got) != 370 {
		t.Fatalf("%d handled", len(got))
	}
}

func TestF34_AFullLaneIsFullAlone(t *testing.T) {
	var in []sent
	for i := range 10 {
		in = append(in, sent{Bulk, i}, sent{Normal, i})
	}
	in = append(in, sent{Control, 0})
	if got := laned(t, 3, in...); len(got) != 7 {
		t.Fatalf("%v", got)
	}
}

func TestF34_OrderHoldsWithinALane(t *testing.T) {
	var in []sent
	for i := range 500 {
		in = append(in, sent{Lane(i * 7 % int(lanes)), i})
	}
	got := laned(t, 1000, in...)
	for lane := range lanes {
		of := slices.DeleteFunc(slices.Clone(got), func(m sent) bool { return m.lane != lane })
		if len(of) < 100 || !slices.IsSortedFunc(of, func(a, b sent) int { return a.n - b.n }) {
			t.Fatalf("lane %d: %v", lane, of)
		}
	}
}

func TestF34_ALaneThatDoesNotExistIsNormal(t *testing.T) {
	if got := laned(t, 10, sent{99, 1}, sent{Normal, 2}); !slices.Equal(got, []sent{{99, 1}, {Normal, 2}}) {
		t.Fatalf("%v", got)
	}
}

func TestRingKeepsOrderWhileItGrowsAndGivesMemoryBack(t *testing.T) {
	var r ring
	in, out := 0, 0
	push := func(n int) {
		for range n {
			r.push(in)
			in++
		}
	}
	pop := func(n int) {
		for range n {
			if got := r.pop(); got != out {
				t.Fatalf("got %v, want %d", got, out)
			}
			out++
		}
	}
	for i := range 200 { // it grows at every position of its head
		push(i%13 + 2)
		pop(i % 11)
	}
	push(ringKeep)
	for _, v := range []int{1, 2, int(r.n) - 3} {
		pop(v)
	}
	if r.n != 0 || r.buf != nil {
		t.Fatalf("%d left, keeps %d slots", r.n, len(r.buf))
	}
	push(3)
	pop(3)
	if len(r.buf) != ringMin {
		t.Fatal(fmt.Sprint(len(r.buf)))
	}
}
