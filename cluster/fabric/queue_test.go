package fabric

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestM3_AQueueHoldsToBothLimits(t *testing.T) {
	gate, took := make(chan struct{}), make(chan int, 100)
	q := newQueue(3, 100, func(n int) { <-gate; took <- n })
	for i, weight := range []int{10, 80, 11, 5, 5, 0} {
		want := i != 2 && i < 4 // the third is too heavy, from the fifth on there are too many
		if got := q.push(i, weight); got != want {
			t.Fatalf("push %d: %v, want %v", i, got, want)
		}
	}
	close(gate)
	for _, want := range []int{0, 1, 3} {
		if got := <-took; got != want {
			t.Fatalf("took %d, want %d", got, want)
		}
	}
	for !q.push(7, 100) { // as soon as the last has been taken to its end there is room for all
	}
	if got := <-took; got != 7 {
		t.Fatalf("took %d", got)
	}
	q.close()
	if q.push(8, 1) {
		t.Fatal("a closed queue took a value")
	}
}

func TestPiecesSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &v1.ToAgent{Node: "n", Epoch: 1, Session: 2, Opening: 4, Ack: 3, First: rapid.Uint64Range(1, 1<<40).Draw(t, "first")}
		for range rapid.IntRange(0, 50).Draw(t, "commands") {
			m.Commands = append(m.Commands, &v1.Command{Kind: &v1.Command_Stop{Stop: &v1.StopAttempt{
				Reason: strings.Repeat("x", rapid.IntRange(0, 3000).Draw(t, "size")),
			}}})
		}
		if rapid.Bool().Draw(t, "welcome") {
			m.Control = &v1.ToAgent_Welcome{Welcome: &v1.Welcome{HeartbeatMs: 7}}
		}
		before := proto.CloneOf(m)
		const most = 4000
		pieces := splitTo(m, most)
		whole := proto.CloneOf(pieces[0])
		for i, p := range pieces {
			if proto.Size(p) > most && len(p.GetCommands()) > 1 {
				t.Fatalf("piece %d has %d bytes in %d items", i, proto.Size(p), len(p.GetCommands()))
			}
			if i == 0 {
				continue
			}
			if p.GetFirst() != whole.GetFirst()+uint64(len(whole.GetCommands())) || p.GetControl() != nil || p.GetOpening() != 4 {
				t.Fatalf("piece %d begins at %d after %d items", i, p.GetFirst(), len(whole.GetCommands()))
			}
			whole.Commands = append(whole.Commands, p.GetCommands()...)
		}
		if !proto.Equal(whole, before) || !proto.Equal(m, before) {
			t.Fatal("the pieces say something else, or the frozen message was changed")
		}
	})
}
