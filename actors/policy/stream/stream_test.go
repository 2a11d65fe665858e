package stream

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Over a fabric that loses, doubles, delays and reorders, every item is taken once and in order.
func TestS4_F33_EveryItemOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type packet struct {
			first uint64
			items []int
		}
		out, in := NewOutbox[int](64), Inbox{}
		var air []packet
		var acks []uint64
		var got []int
		pushed := 0
		steps := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 200).Draw(t, "steps")
		for _, s := range append(steps, 1, 3, 5) {
			switch s {
			case 0:
				if out.Push(pushed) {
					pushed++
				}
			case 1, 2:
				if first, items := out.Next(rapid.IntRange(1, 5).Draw(t, "limit")); items != nil {
					air = append(air, packet{first, items})
				}
			case 3, 4:
				if len(air) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(air)-1).Draw(t, "packet")
				p := air[i]
				if rapid.Bool().Draw(t, "keep") {
					air = slices.Delete(air, i, i+1)
				}
				if skip, ok := in.Take(p.first, len(p.items)); ok {
					got = append(got, p.items[skip:]...)
				}
				acks = append(acks, in.Taken())
			case 5:
				if len(acks) > 0 {
					out.Ack(acks[rapid.IntRange(0, len(acks)-1).Draw(t, "ack")])
				}
			case 6:
				out.Rewind()
			}
		}
		out.Rewind()
		for out.Len() > 0 {
			first, items := out.Next(10)
			skip, ok := in.Take(first, len(items))
			if !ok {
				t.Fatal("gap after rewind")
			}
			got = append(got, items[skip:]...)
			out.Ack(in.Taken())
		}
		for i, v := range got {
			if v != i {
				t.Fatalf("item %d is %d", i, v)
			}
		}
		if len(got) != pushed {
			t.Fatalf("took %d of %d", len(got), pushed)
		}
	})
}

func TestM1_OutboxRefusesWhenFull(t *testing.T) {
	out := NewOutbox[int](2)
	if !out.Push(1) || !out.Push(2) || out.Push(3) {
		t.Fatal("the limit is 2")
	}
	out.Ack(99)
	out.Ack(0)
	if out.Len() != 2 {
		t.Fatal("an acknowledgement of what was never sent must change nothing")
	}
}
