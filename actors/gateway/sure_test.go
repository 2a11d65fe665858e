package gateway_test

import (
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Where there are other masters a read goes through the journal first and comes back in the asker's name; what is written
// does not, nor the status of the cell. While the journal is full a read is refused, for nothing shows then who leads.
func TestB31_ReadsAreMadeSureOf(t *testing.T) {
	b := newBench(t)
	read := &v1.JobRef{Queue: "q", Name: "j"}
	b.call(read)
	if len(b.passed["Jobs"]) != 1 || len(b.passed["Journal"]) != 0 {
		t.Fatalf("a master alone sends a read to %v", b.passed)
	}
	b.env.ReadLease = 300 * time.Millisecond
	b.call(read)
	if len(b.passed["Journal"]) != 1 || len(b.passed["Jobs"]) != 0 {
		t.Fatalf("a read goes to %v", b.passed)
	}
	if b.senders[0] != b.asker {
		t.Fatalf("the journal is asked in the name of %v", b.senders[0])
	}
	sure := b.passed["Journal"][0].(*msg.Commit).Then[0]
	b.sys.TellFrom(b.asker, sure.To, sure.Message)
	b.pass(0)
	if len(b.passed["Jobs"]) != 1 || b.senders[len(b.senders)-1] != b.asker {
		t.Fatalf("a read that came back goes to %v, in the name of %v", b.passed, b.senders)
	}
	for room, call := range map[string]any{
		"Queues": &v1.SubmitRequest{Job: job("j")}, "Nodes": &v1.DrainRequest{Id: "n"}, "Placer": &v1.CellStatusRequest{},
	} {
		b.call(call)
		if len(b.passed[room]) != 1 || len(b.passed["Journal"]) != 0 {
			t.Errorf("%T goes to %v", call, b.passed)
		}
	}
	b.sys.Tell(b.ref, &msg.Backlog{Full: true, Reason: "no room"})
	b.pass(0)
	if f := b.fault(read); f.Code != 503 || f.RetryAfter <= 0 {
		t.Errorf("a read while the journal is full: %v", f)
	}
}
