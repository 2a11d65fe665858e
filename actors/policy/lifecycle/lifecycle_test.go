package lifecycle

import (
	"fmt"
	"strings"
	"testing"
)

// moves writes a whole machine down, one line a phase: every event with the phase it leads to, impossible ones left out.
func moves(phases, events int, next func(p, e int) (string, bool), phase, event func(int) string) string {
	var b strings.Builder
	for p := range phases {
		fmt.Fprintf(&b, "%s:", phase(p))
		for e := range events {
			if to, ok := next(p, e); ok {
				fmt.Fprintf(&b, " %s>%s", event(e), to)
			} else if to != phase(p) {
				fmt.Fprintf(&b, " %s MOVED TO %s", event(e), to)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// The tables are exhaustive: every pair of phase and event is in here, or impossible.

func TestB7_JobMoves(t *testing.T) {
	got := moves(int(jobPhases), int(jobEvents),
		func(p, e int) (string, bool) { n, ok := JobPhase(p).Next(JobEvent(e)); return n.String(), ok },
		func(p int) string { return JobPhase(p).String() }, func(e int) string { return JobEvent(e).String() })
	want := `none: submit>pending
pending: schedule>running update>pending stop>stopping finish>succeeded fail>failed
running: schedule>running update>running stop>stopping finish>succeeded fail>failed
stopping: stop>stopping finish>succeeded halt>stopped
succeeded:
failed:
stopped:
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestB7_InstanceMoves(t *testing.T) {
	got := moves(int(instancePhases), int(instanceEvents),
		func(p, e int) (string, bool) { n, ok := InstancePhase(p).Next(InstanceEvent(e)); return n.String(), ok },
		func(p int) string { return InstancePhase(p).String() }, func(e int) string { return InstanceEvent(e).String() })
	want := `none: submit>waiting
waiting: schedule>starting update>waiting kill>dead finish>done
starting: start>running update>starting evict>waiting fail>waiting give up>dead kill>stopping lost>waiting finish>done
running: start>running update>running evict>waiting fail>waiting give up>dead kill>stopping lost>waiting finish>done
stopping: start>stopping evict>dead fail>dead give up>dead kill>stopping lost>dead finish>done
done:
dead:
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestB7_NodeMoves(t *testing.T) {
	got := moves(int(livenesses), int(nodeEvents),
		func(p, e int) (string, bool) { n, ok := Liveness(p).Next(NodeEvent(e)); return n.String(), ok },
		func(p int) string { return Liveness(p).String() }, func(e int) string { return NodeEvent(e).String() })
	want := `unknown: heard>fresh gone>lost
fresh: heard>fresh silent>suspect
suspect: heard>fresh silent>suspect gone>lost
lost: heard>fresh gone>lost
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestB7_TerminalPhasesAreFinal(t *testing.T) {
	for p := range jobPhases {
		moving := false
		for e := range jobEvents {
			_, ok := p.Next(e)
			moving = moving || ok
		}
		if p.Terminal() == moving {
			t.Errorf("job %v: terminal %v, moving %v", p, p.Terminal(), moving)
		}
	}
	for p := range instancePhases {
		moving := false
		for e := range instanceEvents {
			_, ok := p.Next(e)
			moving = moving || ok
		}
		if p.Terminal() == moving {
			t.Errorf("instance %v: terminal %v, moving %v", p, p.Terminal(), moving)
		}
	}
}

func TestValuesOutsideOfTheTableDoNothing(t *testing.T) {
	for i := range 256 {
		if p, ok := JobPhase(i).Next(JobEvent(255 - i)); ok && (i >= int(jobPhases) || 255-i >= int(jobEvents)) || !ok && p != JobPhase(i) {
			t.Errorf("job phase %d: %v, %v", i, p, ok)
		}
		if p, ok := InstancePhase(i).Next(InstanceEvent(255)); ok || p != InstancePhase(i) {
			t.Errorf("instance phase %d: %v, %v", i, p, ok)
		}
		if l, ok := Liveness(i).Next(NodeEvent(255)); ok || l != Liveness(i) {
			t.Errorf("liveness %d: %v, %v", i, l, ok)
		}
	}
	if JobPhase(200).String() != "invalid" || InstanceEvent(200).String() != "invalid" {
		t.Error("a value without a name has one")
	}
}

func TestNamesReadBack(t *testing.T) {
	for p := range jobPhases {
		if got, ok := ParseJobPhase(p.String()); !ok || got != p {
			t.Errorf("%v: %v, %v", p, got, ok)
		}
	}
	for p := range instancePhases {
		if got, ok := ParseInstancePhase(p.String()); !ok || got != p {
			t.Errorf("%v: %v, %v", p, got, ok)
		}
	}
	for l := range livenesses {
		if got, ok := ParseLiveness(l.String()); !ok || got != l {
			t.Errorf("%v: %v, %v", l, got, ok)
		}
	}
	for _, s := range []string{"", "Running", "invalid"} {
		if _, ok := ParseJobPhase(s); ok {
			t.Errorf("%q is a job phase", s)
		}
	}
}

func TestQuestions(t *testing.T) {
	for p, want := range map[InstancePhase]bool{InstanceWaiting: false, InstanceStarting: true, InstanceRunning: true, InstanceStopping: true, InstanceDone: false, InstanceDead: false} {
		if p.Live() != want {
			t.Errorf("%v: live %v", p, p.Live())
		}
	}
	for l, want := range map[Liveness]bool{NodeUnknown: false, NodeFresh: true, NodeSuspect: false, NodeLost: false} {
		if l.Places() != want {
			t.Errorf("%v: places %v", l, l.Places())
		}
	}
}
