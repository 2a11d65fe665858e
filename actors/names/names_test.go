package names_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/names"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// bench is names alone: the test plays jobs and clients.
type bench struct {
	t       *testing.T
	step    *kit.Stepper
	sys     *kit.System
	ref     kit.Ref
	asker   kit.Ref
	answers []any
	asked   int // jobs were asked to register again
}

func newBench(t *testing.T, cell string) *bench {
	t.Helper()
	b := &bench{t: t, step: kit.NewStepper(1, time.Unix(0, 0))}
	b.sys = kit.New(kit.Config{Name: "test", Stepper: b.step})
	env := &msg.Env{Cell: cell, Limits: msg.DefaultLimits()}
	env.Refs.Jobs = b.sys.Port("jobs", func(m any, _ kit.Ref) {
		if all, ok := m.(*msg.ToAllJobs); ok {
			if _, ok := all.Message.(*msg.EndpointsRequest); ok {
				b.asked++
			}
		}
	})
	b.asker = b.sys.Port("asker", func(m any, _ kit.Ref) { b.answers = append(b.answers, m) })
	top, err := b.sys.Start(kit.Spec{Name: "top", New: func() kit.Behavior {
		return &kit.Supervisor{
			Children: []kit.Spec{{Name: "names", New: func() kit.Behavior { return names.New(env) }}},
			Ready:    func(_ *kit.Context, refs []kit.Ref) { b.ref = refs[0] },
		}
	}})
	if err != nil {
		t.Fatal(err, top)
	}
	b.settle()
	return b
}

func (b *bench) settle() {
	for b.step.Step(b.step.Now()) {
	}
}

func (b *bench) register(queue, name string, uid model.UID, endpoints ...msg.Endpoint) {
	b.sys.Tell(b.ref, &msg.Register{ID: model.JobID{Queue: queue, Name: name}, UID: uid, Endpoints: endpoints})
}

func (b *bench) ask(name string) any {
	b.t.Helper()
	b.answers = nil
	b.sys.TellFrom(b.asker, b.ref, &msg.Lookup{Request: &v1.LookupRequest{Name: name}})
	b.settle()
	if len(b.answers) != 1 {
		b.t.Fatalf("lookup of %q has %d answers", name, len(b.answers))
	}
	return b.answers[0]
}

// lookup is the names found, in one line.
func (b *bench) lookup(name string) string {
	b.t.Helper()
	r, ok := b.ask(name).(*v1.LookupReply)
	if !ok {
		b.t.Fatalf("lookup of %q: %v", name, b.answers)
	}
	var found []string
	for _, e := range r.Endpoints {
		found = append(found, e.Name+"@"+e.Node)
	}
	return strings.Join(found, " ")
}

func at(stage string, index uint64, node model.NodeID, fence model.Fence) msg.Endpoint {
	return msg.Endpoint{Stage: stage, Index: index, Node: node, Fence: fence}
}

func TestB10_LookupForms(t *testing.T) {
	b := newBench(t, "lab")
	b.register("q", "web", 1, at("front", 0, "a", 3), at("front", 1, "b", 1), at("7", 1, "c", 2))
	for name, want := range map[string]string{
		"web.q":           "1.front.web.q.lab@b 1.7.web.q.lab@c 0.front.web.q.lab@a",
		"web.q.lab":       "1.front.web.q.lab@b 1.7.web.q.lab@c 0.front.web.q.lab@a",
		"0.web.q":         "0.front.web.q.lab@a",
		"1.web.q.":        "1.front.web.q.lab@b 1.7.web.q.lab@c",
		"front.web.q":     "1.front.web.q.lab@b 0.front.web.q.lab@a",
		"1.front.web.q":   "1.front.web.q.lab@b",
		"1.7.web.q":       "1.7.web.q.lab@c", // a stage may be named like a number
		"1.7.web.q.lab":   "1.7.web.q.lab@c",
		"2.front.web.q":   "",
		"web.other":       "",
		"other.q":         "",
		"0.front.web.q.x": "bad",
		"web":             "bad",
		"":                "bad",
		"a.b.c.d.e.lab":   "bad",
	} {
		if want == "bad" {
			if f, ok := b.ask(name).(*model.Fault); !ok || !f.Is(model.Invalid("")) || len(f.Fields) != 1 || f.Fields[0].Field != "name" || f.Fields[0].Hint == "" {
				t.Errorf("lookup of %q: %v", name, b.answers)
			}
			continue
		}
		if got := b.lookup(name); got != want {
			t.Errorf("lookup of %q: %q, want %q", name, got, want)
		}
	}
}

// A cell may have the name of a queue.
func TestB10_ACellNamedLikeAQueue(t *testing.T) {
	b := newBench(t, "default")
	b.register("default", "web", 1, at("s", 0, "a", 1), at("s", 1, "b", 2))
	for name, want := range map[string]string{
		"web.default":           "0.s.web.default.default@a 1.s.web.default.default@b",
		"0.web.default":         "0.s.web.default.default@a",
		"0.web.default.default": "0.s.web.default.default@a",
		"web.default.default":   "0.s.web.default.default@a 1.s.web.default.default@b",
	} {
		if got := b.lookup(name); got != want {
			t.Errorf("lookup of %q: %q, want %q", name, got, want)
		}
	}
}

func TestB10_NamesSurviveReschedulingAndEndWithTheirJob(t *testing.T) {
	b := newBench(t, "lab")
	b.register("q", "web", 5, at("s", 0, "a", 1))
	b.register("q", "web", 5, at("s", 0, "b", 2))
	if got := b.lookup("0.web.q"); got != "0.s.web.q.lab@b" {
		t.Errorf("found %q", got)
	}
	b.register("q", "web", 4, at("s", 0, "z", 9)) // late, of the job that had the name before
	b.register("q", "web", 4)
	if got := b.lookup("0.web.q"); got != "0.s.web.q.lab@b" {
		t.Errorf("after news of an older job: found %q", got)
	}
	b.register("q", "web", 6, at("s", 0, "c", 3))
	if got := b.lookup("0.web.q"); got != "0.s.web.q.lab@c" {
		t.Errorf("found %q of the newer job", got)
	}
	b.register("q", "web", 6)
	if got := b.lookup("0.web.q"); got != "" {
		t.Errorf("found %q of a job that has ended", got)
	}
}

func TestB57_F31_RestartedNamesAskAllJobs(t *testing.T) {
	b := newBench(t, "lab")
	b.register("q", "web", 1, at("s", 0, "a", 1))
	b.settle()
	if b.asked != 0 {
		t.Fatal("jobs are asked at the first start")
	}
	dies := true
	b.step.OnFate(func(string, any) kit.Fate {
		if dies {
			dies = false
			return kit.DiesBefore
		}
		return kit.Lives
	})
	b.register("q", "api", 2, at("s", 0, "b", 1))
	b.settle()
	if b.asked != 1 {
		t.Fatalf("jobs are asked %d times after a restart", b.asked)
	}
	b.register("q", "web", 1, at("s", 0, "a", 1))
	b.register("q", "api", 2, at("s", 0, "b", 1))
	if b.lookup("web.q") == "" || b.lookup("api.q") == "" {
		t.Error("not found after a restart")
	}
}
