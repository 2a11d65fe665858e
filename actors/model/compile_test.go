package model

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// small is a job that compiles.
func small() *v1.JobSpec {
	return &v1.JobSpec{Name: "j", Stages: []*v1.StageSpec{{Name: "s", Command: []string{"true"}}}}
}

// TestB3_JobOfIdenticalInstances shows a job compiled whole: n identical instances with resources and attributes.
func TestB3_JobOfIdenticalInstances(t *testing.T) {
	spec := &v1.JobSpec{
		Name: "count", Queue: "q", Band: "free", Rank: -3, TimeLimit: "10m", Labels: map[string]string{"team": "词"},
		Stages: []*v1.StageSpec{
			{Name: "sum", After: []string{"map"}, Driver: "func", Func: "example.com/sum.Sum", Timeout: "2s"},
			{Name: "map", Instances: 100, Parallel: 10, Command: []string{"wc", "-l"},
				Env: map[string]string{"PATH": "/bin", "A": "x\ny"}, Dir: "/tmp", Spread: "rack",
				Resources: &v1.Resources{Cpu: "250m", Memory: "1.5Gi", Disk: "1G", Net: "10M"},
				Constraints: []*v1.Constraint{
					{Attribute: "os", Value: "linux"}, {Attribute: "arch", Op: "in", Values: []string{"amd64", "arm64"}},
					{Attribute: "gpu", Op: "exists"}, {Attribute: "rack", Op: "!=", Value: "r9"},
				},
				Retry: &v1.Retry{Attempts: 5, Backoff: "2m"}, Stop: &v1.Stop{Signal: "SIGINT", Grace: "500ms"}},
		},
	}
	plan, errs := Compile(spec)
	if errs != nil {
		t.Fatal(errs)
	}
	want := []StagePlan{
		{Name: "sum", After: []int{1}, Instances: 1, Parallel: 1, Driver: "func",
			Resources: Resources{100, 64 << 20, 0, 0}, Attempts: 3, Backoff: time.Second, BackoffMax: time.Minute,
			Timeout: 2 * time.Second, Grace: 10 * time.Second,
			Rules: Rules{Pool: DefaultPool}, MaxUnavailable: 1},
		{Name: "map", Instances: 100, Parallel: 10, Driver: "process",
			Resources: Resources{250, 3 << 29, 1e9, 1e7}, Rules: Rules{Spread: "rack", Pool: DefaultPool,
				Constraints: []Constraint{{Attribute: "os", Values: []string{"linux"}},
					{Attribute: "arch", Op: OpIn, Values: []string{"amd64", "arm64"}},
					{Attribute: "gpu", Op: OpExists}, {Attribute: "rack", Op: OpNotEqual, Values: []string{"r9"}}}},
			MaxUnavailable: 100,
			Attempts:       5, Backoff: 2 * time.Minute, BackoffMax: 2 * time.Minute, StopSignal: "INT", Grace: 500 * time.Millisecond},
	}
	if !reflect.DeepEqual(plan.Stages, want) {
		t.Errorf("stages\n%+v\nwant\n%+v", plan.Stages, want)
	}
	if plan.ID != (JobID{"q", "count"}) || plan.Service || plan.Priority != (Priority{Free, -3}) || plan.TimeLimit != 10*time.Minute {
		t.Errorf("%+v", plan)
	}
}

func TestCompileFillsDefaults(t *testing.T) {
	plan, errs := Compile(small())
	if errs != nil {
		t.Fatal(errs)
	}
	want := &v1.JobSpec{Name: "j", Queue: "default", Kind: "batch", Band: "batch", Stages: []*v1.StageSpec{{
		Name: "s", Instances: 1, Parallel: 1, Driver: "process", Command: []string{"true"},
		Resources: &v1.Resources{Cpu: "100m", Memory: "64Mi", Disk: "0", Net: "0"},
		Retry:     &v1.Retry{Attempts: 3, Backoff: "1s", BackoffMax: "1m"},
		Stop:      &v1.Stop{Signal: "TERM", Grace: "10s"},
	}}}
	if !proto.Equal(plan.Spec, want) {
		t.Errorf("got %v, want %v", plan.Spec, want)
	}
	service := small()
	service.Kind = "service"
	plan, errs = Compile(service)
	if errs != nil || plan.Spec.Band != "production" || !plan.Service || plan.Stages[0].Attempts != 0 {
		t.Errorf("service: %+v, %v", plan, errs)
	}
}

func TestCompileClampsParallel(t *testing.T) {
	spec := small()
	spec.Stages[0].Instances, spec.Stages[0].Parallel = 5, 50
	plan, errs := Compile(spec)
	if errs != nil || plan.Stages[0].Parallel != 5 {
		t.Errorf("%+v, %v", plan, errs)
	}
}

// refusals is one bad input each: what is done to a good job, and which field the answer must name.
func refusals() []refusal {
	stage := func(f func(*v1.StageSpec)) func(*v1.JobSpec) {
		return func(j *v1.JobSpec) { f(j.Stages[0]) }
	}
	constraint := func(c *v1.Constraint) func(*v1.JobSpec) {
		return stage(func(s *v1.StageSpec) { s.Constraints = []*v1.Constraint{c} })
	}
	env := func(k, v string) func(*v1.JobSpec) {
		return stage(func(s *v1.StageSpec) { s.Env = map[string]string{k: v} })
	}
	return []refusal{
		{"no name", func(j *v1.JobSpec) { j.Name = "" }, "name", "missing"},
		{"subject in name", func(j *v1.JobSpec) { j.Name = "a.>" }, "name", `such as "a-"`},
		{"long name", func(j *v1.JobSpec) { j.Name = strings.Repeat("a", 5000) }, "name", "at most 63"},
		{"capitals", func(j *v1.JobSpec) { j.Name = "My Job" }, "name", `such as "my-job"`},
		{"queue", func(j *v1.JobSpec) { j.Queue = "*" }, "queue", "not a name"},
		{"kind", func(j *v1.JobSpec) { j.Kind = "servce" }, "kind", `did you mean "service"?`},
		{"band", func(j *v1.JobSpec) { j.Band = "gold" }, "band", `one of "monitoring"`},
		{"label key", func(j *v1.JobSpec) { j.Labels = map[string]string{"a b": ""} }, `labels["a b"]`, "not a key"},
		{"label text", func(j *v1.JobSpec) { j.Labels = map[string]string{"a": "\x1b[2J"} }, "labels.a", "control"},
		{"label utf8", func(j *v1.JobSpec) { j.Labels = map[string]string{"a": "\xff"} }, "labels.a", "UTF-8"},
		{"labels", func(j *v1.JobSpec) { j.Labels = many(MaxLabels + 1) }, "labels", "at most 64"},
		{"time limit", func(j *v1.JobSpec) { j.TimeLimit = "292y" }, "time_limit", "not a duration"},
		{"negative limit", func(j *v1.JobSpec) { j.TimeLimit = "-1s" }, "time_limit", "negative"},
		{"no stages", func(j *v1.JobSpec) { j.Stages = nil }, "stages", "at least one"},
		{"nil stage", func(j *v1.JobSpec) { j.Stages[0] = nil }, "stages[0]", "nil"},
		{"many stages", func(j *v1.JobSpec) { j.Stages = make([]*v1.StageSpec, MaxStages+1) }, "stages", "at most 1024"},
		{"1e9 instances", stage(func(s *v1.StageSpec) { s.Instances = 1e9 }), "stages[0].instances", "at most 10000000"},
		{"negative instances", stage(func(s *v1.StageSpec) { s.Instances = -1 }), "stages[0].instances", "at least 1"},
		{"min instances", stage(func(s *v1.StageSpec) { s.Instances = math.MinInt64 }), "stages[0].instances", "at least 1"},
		{"parallel", stage(func(s *v1.StageSpec) { s.Parallel = -1 }), "stages[0].parallel", "at least 0"},
		{"sum of instances", func(j *v1.JobSpec) {
			j.Stages = append(j.Stages, &v1.StageSpec{Name: "t", Command: []string{"true"}, Instances: MaxInstances})
		}, "stages", "in all stages together"},
		{"service in part", func(j *v1.JobSpec) { j.Kind, j.Stages[0].Instances, j.Stages[0].Parallel = "service", 3, 2 },
			"stages[0].parallel", "all its instances"},
		{"stage name", stage(func(s *v1.StageSpec) { s.Name = "S" }), "stages[0].name", `such as "s"`},
		{"same name", func(j *v1.JobSpec) { j.Stages = append(j.Stages, proto.Clone(j.Stages[0]).(*v1.StageSpec)) },
			"stages[1].name", "stages[0]"},
		{"driver", stage(func(s *v1.StageSpec) { s.Driver = "proces" }), "stages[0].driver", `did you mean "process"?`},
		{"no command", stage(func(s *v1.StageSpec) { s.Command = nil }), "stages[0].command", "missing"},
		{"empty program", stage(func(s *v1.StageSpec) { s.Command = []string{""} }), "stages[0].command[0]", "empty"},
		{"NUL in argument", stage(func(s *v1.StageSpec) { s.Command = []string{"a", "b\x00"} }), "stages[0].command[1]", "NUL"},
		{"long argument", stage(func(s *v1.StageSpec) { s.Command = []string{strings.Repeat("a", MaxArgLen+1)} }),
			"stages[0].command[0]", "in a file"},
		{"arguments", stage(func(s *v1.StageSpec) { s.Command = make([]string, MaxArgs+1) }), "stages[0].command", "at most 4096"},
		{"func of a process", stage(func(s *v1.StageSpec) { s.Func = "f" }), "stages[0].func", "driver: func"},
		{"command of a func", stage(func(s *v1.StageSpec) { s.Driver, s.Func = "func", "f" }), "stages[0].command", "driver: process"},
		{"func without name", stage(func(s *v1.StageSpec) { s.Driver, s.Command = "func", nil }), "stages[0].func", "missing"},
		{"func with bad name", stage(func(s *v1.StageSpec) { s.Driver, s.Command, s.Func = "func", nil, "f g" }), "stages[0].func", "key"},
		{"dir of a func", stage(func(s *v1.StageSpec) { s.Driver, s.Command, s.Func, s.Dir = "func", nil, "f", "/" }), "stages[0].dir", "remove"},
		{"signal of a func", stage(func(s *v1.StageSpec) {
			s.Driver, s.Command, s.Func, s.Stop = "func", nil, "f", &v1.Stop{Signal: "TERM"}
		}), "stages[0].stop.signal", "context"},
		{"relative dir", stage(func(s *v1.StageSpec) { s.Dir = "tmp" }), "stages[0].dir", "absolute"},
		{"NUL in dir", stage(func(s *v1.StageSpec) { s.Dir = "/\x00" }), "stages[0].dir", "control"},
		{"LD_PRELOAD", env("LD_PRELOAD", "x"), "stages[0].env.LD_PRELOAD", "not allowed"},
		{"DYLD", env("DYLD_INSERT_LIBRARIES", "x"), "stages[0].env.DYLD_INSERT_LIBRARIES", "not allowed"},
		{"BASH_ENV", env("BASH_ENV", "x"), "stages[0].env.BASH_ENV", "not allowed"},
		{"ENV", env("ENV", "x"), "stages[0].env.ENV", "not allowed"},
		{"reserved", env("TROUPE_FENCE", "1"), "stages[0].env.TROUPE_FENCE", "reserved"},
		{"= in env", env("A=B", "x"), `stages[0].env["A=B"]`, "contains ="},
		{"NUL in env", env("A\x00", "x"), `stages[0].env["A\x00"]`, "control"},
		{"empty env", env("", "x"), `stages[0].env[""]`, "without a name"},
		{"NUL in value", env("A", "\x00"), "stages[0].env.A", "NUL"},
		{"much env", stage(func(s *v1.StageSpec) { s.Env = many(MaxEnv + 1) }), "stages[0].env", "at most 1024"},
		{"cpu", stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Cpu: "NaN"} }), "stages[0].resources.cpu", "not a quantity"},
		{"no cpu", stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Cpu: "0"} }), "stages[0].resources.cpu", "at least 1m"},
		{"forgotten unit", stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Memory: "64"} }), "stages[0].resources.memory", "unit"},
		{"negative memory", stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Memory: "-1Gi"} }), "stages[0].resources.memory", "negative"},
		{"wrapping memory", stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Memory: "9223372036854775808"} }),
			"stages[0].resources.memory", "too much"},
		{"disk", stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Disk: "1e308"} }), "stages[0].resources.disk", "unit"},
		{"net", stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Net: "fast"} }), "stages[0].resources.net", "bits per second"},
		{"nil constraint", constraint(nil), "stages[0].constraints[0]", "nil"},
		{"constraint attribute", constraint(&v1.Constraint{Value: "x"}), "stages[0].constraints[0].attribute", "missing"},
		{"attribute key", constraint(&v1.Constraint{Attribute: "a b", Value: "x"}), "stages[0].constraints[0].attribute", "key"},
		{"constraint op", constraint(&v1.Constraint{Attribute: "a", Op: "exist"}), "stages[0].constraints[0].op", `did you mean "exists"?`},
		{"constraint value", constraint(&v1.Constraint{Attribute: "a"}), "stages[0].constraints[0].value", "missing"},
		{"value too many", constraint(&v1.Constraint{Attribute: "a", Op: "exists", Value: "b"}), "stages[0].constraints[0].value", "takes none"},
		{"no values", constraint(&v1.Constraint{Attribute: "a", Op: "in"}), "stages[0].constraints[0].values", "missing"},
		{"values of =", constraint(&v1.Constraint{Attribute: "a", Value: "b", Values: []string{"c"}}), "stages[0].constraints[0].values", "op: in"},
		{"values", constraint(&v1.Constraint{Attribute: "a", Op: "in", Values: make([]string, MaxValues+1)}),
			"stages[0].constraints[0].values", "at most 256"},
		{"value text", constraint(&v1.Constraint{Attribute: "a", Op: "in", Values: []string{"b", "\n"}}),
			"stages[0].constraints[0].values[1]", "control"},
		{"constraints", stage(func(s *v1.StageSpec) {
			for range MaxConstraints + 1 {
				s.Constraints = append(s.Constraints, &v1.Constraint{Attribute: "a", Op: "exists"})
			}
		}), "stages[0].constraints", "at most 64"},
		{"spread", stage(func(s *v1.StageSpec) { s.Spread = "*" }), "stages[0].spread", "key"},
		{"attempts", stage(func(s *v1.StageSpec) { s.Retry = &v1.Retry{Attempts: -1} }), "stages[0].retry.attempts", "at least 0"},
		{"backoff", stage(func(s *v1.StageSpec) { s.Retry = &v1.Retry{Backoff: "0s"} }), "stages[0].retry.backoff", "too short"},
		{"backoff max", stage(func(s *v1.StageSpec) { s.Retry = &v1.Retry{Backoff: "5s", BackoffMax: "1s"} }),
			"stages[0].retry.backoff_max", "shorter than backoff"},
		{"timeout", stage(func(s *v1.StageSpec) { s.Timeout = "30" }), "stages[0].timeout", `did you mean "30s"?`},
		{"signal", stage(func(s *v1.StageSpec) { s.Stop = &v1.Stop{Signal: "TEM"} }), "stages[0].stop.signal", `did you mean "TERM"?`},
		{"grace", stage(func(s *v1.StageSpec) { s.Stop = &v1.Stop{Grace: "1ns"} }), "stages[0].stop.grace", "too short"},
		{"after nothing", stage(func(s *v1.StageSpec) { s.After = []string{"x"} }), "stages[0].after[0]", "no stage"},
		{"after itself", stage(func(s *v1.StageSpec) { s.After = []string{"s"} }), "stages[0].after[0]", "itself"},
		{"service in steps", func(j *v1.JobSpec) { j.Kind, j.Stages[0].After = "service", []string{"s"} }, "stages[0].after", "never succeed"},
		{"huge", stage(func(s *v1.StageSpec) { s.Env = map[string]string{"A": strings.Repeat("x", MaxSpecBytes)} }), "", "at most 262144"},
		{"unknown field", func(j *v1.JobSpec) {
			j.Stages[0].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
		}, "stages[0]", "does not know"},
	}
}

type refusal struct {
	name   string
	change func(*v1.JobSpec)
	field  string
	text   string
}

func many(n int) map[string]string {
	m := make(map[string]string, n)
	for i := range n {
		m[fmt.Sprintf("k%d", i)] = ""
	}
	return m
}

func TestB9_CompileNamesTheFieldAndWhatIsRight(t *testing.T) {
	for _, tt := range refusals() {
		spec := small()
		tt.change(spec)
		plan, errs := Compile(spec)
		if plan != nil || len(errs) == 0 {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		if len(errs) > 1 {
			t.Errorf("%s: one mistake makes %d errors: %v", tt.name, len(errs), errs)
		}
		if e := errs[0]; e.Field != tt.field || !strings.Contains(e.Problem+"; "+e.Hint, tt.text) {
			t.Errorf("%s: got %q %q %q; want field %q and %q", tt.name, e.Field, e.Problem, e.Hint, tt.field, tt.text)
		}
	}
}

func TestCompileNil(t *testing.T) {
	if plan, errs := Compile(nil); plan != nil || len(errs) != 1 {
		t.Errorf("%v, %v", plan, errs)
	}
}

func TestCompileReturnsAllErrorsUpToALimit(t *testing.T) {
	spec := small()
	spec.Name, spec.Kind, spec.Stages[0].Instances, spec.Stages[0].Timeout = "A", "x", -1, "x"
	_, errs := Compile(spec)
	var fields []string
	for _, e := range errs {
		fields = append(fields, e.Field)
	}
	if got := strings.Join(fields, " "); got != "name kind stages[0].instances stages[0].timeout" {
		t.Errorf("got %s", got)
	}
	spec.Stages[0].Env = map[string]string{}
	for i := range 500 {
		spec.Stages[0].Env[fmt.Sprintf("LD_%d", i)] = ""
	}
	if _, errs = Compile(spec); len(errs) != MaxFieldErrors || errs[len(errs)-1].Problem != "and 405 more" {
		t.Errorf("%d errors, the last %v", len(errs), errs[len(errs)-1])
	}
}

func TestCompileShowsACircle(t *testing.T) {
	spec := &v1.JobSpec{Name: "j"}
	for i := range 100 { // 0 and 1 are free; 10 … 99 form a circle; the rest hangs behind it
		after := []string{fmt.Sprintf("s%d", (i+1)%100)}
		switch {
		case i < 2:
			after = nil
		case i == 99:
			after = []string{"s0", "s10"}
		}
		spec.Stages = append(spec.Stages, &v1.StageSpec{Name: fmt.Sprintf("s%d", i), Command: []string{"true"}, After: after})
	}
	_, errs := Compile(spec)
	want := "stages wait for each other: s10 after s11 after s12 after s13 after … after s97 after s98 after s99 after s10"
	if len(errs) != 1 || errs[0].Field != "stages[10].after" || errs[0].Problem != want {
		t.Errorf("got %v", errs)
	}
}

// TestCompileIsAFixedPoint: the filled spec is what a journal keeps, so it must always compile, to the same plan.
func TestCompileIsAFixedPoint(t *testing.T) {
	checkFixedPoint(t, small())
	big := stagesInARow(MaxStages)
	for range (MaxSpecBytes - 100 - proto.Size(big)) / 93 {
		big.Stages[0].Command = append(big.Stages[0].Command, strings.Repeat("x", 90))
	}
	checkFixedPoint(t, big) // fits as written, not when filled in
	if plan, errs := Compile(big); plan != nil || !strings.Contains(errs[0].Problem, "with all defaults filled in") {
		t.Errorf("%v", errs)
	}
}

func checkFixedPoint(t *testing.T, spec *v1.JobSpec) {
	t.Helper()
	before := proto.CloneOf(spec)
	plan, errs := Compile(spec)
	if !proto.Equal(before, spec) {
		t.Fatalf("Compile changed its input\n%v\n%v", before, spec)
	}
	if (plan == nil) == (len(errs) == 0) {
		t.Fatalf("plan %v, errors %v", plan, errs)
	}
	if plan == nil {
		return
	}
	again, errs := Compile(plan.Spec)
	if errs != nil {
		t.Fatalf("the filled spec does not compile: %v", errs)
	}
	if !proto.Equal(again.Spec, plan.Spec) {
		t.Fatalf("spec\n%v\n%v", plan.Spec, again.Spec)
	}
	again.Spec = plan.Spec
	if !reflect.DeepEqual(plan, again) {
		t.Fatalf("plan\n%+v\n%+v", plan, again)
	}
	if _, err := proto.Marshal(plan.Spec); err != nil {
		t.Fatalf("the filled spec does not encode: %v", err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, tt := range append(refusals(), ruleRefusals()...) {
		spec := small()
		tt.change(spec)
		if data, err := proto.Marshal(spec); err == nil && len(data) < 4096 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec := &v1.JobSpec{}
		if proto.Unmarshal(data, spec) == nil {
			checkFixedPoint(t, spec)
		}
	})
}

// stagesInARow is a job of n stages, each after the one before it.
func stagesInARow(n int) *v1.JobSpec {
	spec := &v1.JobSpec{Name: "j"}
	for i := range n {
		s := &v1.StageSpec{Name: fmt.Sprintf("s%d", i), Command: []string{"true"}, Instances: 1000}
		if i > 0 {
			s.After = []string{fmt.Sprintf("s%d", i-1)}
		}
		spec.Stages = append(spec.Stages, s)
	}
	return spec
}

func TestCompileAThousandStages(t *testing.T) {
	plan, errs := Compile(stagesInARow(1000))
	if errs != nil || len(plan.Stages) != 1000 || plan.Stages[999].After[0] != 998 {
		t.Fatal(errs)
	}
}

// A dense graph has as many edges as a spec can hold.
func TestCompileADenseGraph(t *testing.T) {
	spec := &v1.JobSpec{Name: "j"}
	for i := range 280 {
		s := &v1.StageSpec{Name: fmt.Sprintf("s%d", i), Command: []string{"true"}}
		for j := range i {
			s.After = append(s.After, fmt.Sprintf("s%d", j))
		}
		spec.Stages = append(spec.Stages, s)
	}
	plan, errs := Compile(spec)
	if errs != nil || len(plan.Stages[279].After) != 279 {
		t.Fatal(errs)
	}
}

func BenchmarkCompileThousandStages(b *testing.B) {
	spec := stagesInARow(1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, errs := Compile(spec); errs != nil {
			b.Fatal(errs)
		}
	}
}
