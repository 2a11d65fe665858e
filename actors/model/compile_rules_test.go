package model

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// demanding is a stage that uses every rule.
func demanding() *v1.JobSpec {
	return &v1.JobSpec{Name: "j", Queue: "q", Owner: "alice@example.com", Stages: []*v1.StageSpec{{
		Name: "s", Command: []string{"true"}, Instances: 8,
		Constraints: []*v1.Constraint{{Attribute: "kernel", Op: "version", Value: ">=5.15"}, {Attribute: "cores", Op: ">=", Value: "8"}},
		Prefer:      []*v1.Constraint{{Attribute: "ssd", Op: "exists", Weight: 50}, {Attribute: "rack", Op: "matches", Value: "old-.*", Weight: -10}},
		Affinity:    []*v1.Affinity{{Labels: map[string]string{"b": "2", "a": "1"}, On: "rack", Queue: "*", Weight: 5}},
		AntiAffinity: []*v1.Affinity{{Labels: map[string]string{"app": "web"}},
			{Labels: map[string]string{"app": "db"}, Queue: "data"}},
		Spread: "node", Spreads: []*v1.Spread{{On: "rack", MaxSkew: 1}, {On: "power", Max: 4, Weight: 7}},
		Ports:   []*v1.Port{{Name: "http", Number: 8080}, {Name: "debug"}},
		Devices: &v1.Devices{Count: 2, Models: []string{"V100", "A100"}},
		Pool:    "gpu", Tolerations: []*v1.Toleration{{Key: "gpu"}, {Key: "team", Value: "ml"}},
		Gang: &v1.Gang{}, Duration: "10m", MaxUnavailable: "10%",
		Score:     &v1.Score{By: "fragmentation", Weights: map[string]int32{"packages": 100, "mix": 0}},
		Packages:  []string{"torch:2", "cuda-12"},
		Data:      map[string]string{"n2": "1Gi", "n1": "2k"},
		Resources: &v1.Resources{Custom: map[string]int64{"license": 2, "dongle": 1}},
	}}}
}

func TestB53_B54_F11_RulesCompiledWhole(t *testing.T) {
	plan, errs := Compile(demanding())
	if errs != nil {
		t.Fatal(errs)
	}
	got, wantRules := plan.Stages[0], Rules{
		Constraints: []Constraint{{"kernel", OpVersion, []string{">=5.15"}, 0}, {"cores", OpGreaterEqual, []string{"8"}, 0}},
		Prefer:      []Constraint{{"ssd", OpExists, nil, 50}, {"rack", OpMatches, []string{"old-.*"}, -10}},
		Spread:      "node", Spreads: []SpreadRule{{"rack", 1, 0, 100}, {"power", 0, 4, 7}},
		Affinity:     []Affinity{{[]Label{{"a", "1"}, {"b", "2"}}, "rack", AnyQueue, 5}},
		AntiAffinity: []Affinity{{[]Label{{"app", "web"}}, "node", "q", 0}, {[]Label{{"app", "db"}}, "node", "data", 0}},
		Pool:         "gpu", Tolerations: []Toleration{{"gpu", ""}, {"team", "ml"}},
		Packages: []string{"cuda-12", "torch:2"}, Data: []NodeBytes{{"n1", 2000}, {"n2", 1 << 30}},
		Score: ScorePlan{"fragmentation", []Amount{{"mix", 0}, {"packages", 100}}},
	}
	if !reflect.DeepEqual(got.Rules, wantRules) {
		t.Errorf("rules\n%+v\nwant\n%+v", got.Rules, wantRules)
	}
	wantExtra := &Extra{Custom: []Amount{{"dongle", 1}, {"license", 2}}, Ports: []PortNeed{{"http", 8080}, {"debug", 0}},
		Devices: DeviceNeed{"gpu", 2, 1000, []string{"A100", "V100"}}}
	if !reflect.DeepEqual(got.Extra, wantExtra) {
		t.Errorf("extra\n%+v\nwant\n%+v", got.Extra, wantExtra)
	}
	if !got.Gang || got.GangHold != DefaultGangHold || got.Duration != 10*time.Minute || got.MaxUnavailable != 1 || plan.Owner != "alice@example.com" {
		t.Errorf("%+v", got)
	}
	checkFixedPoint(t, demanding())
}

// A spec that asks for nothing of it must keep its sum, by which keys and equal jobs are known: nothing is written into it.
func TestB42_PlainSpecsStayAsTheyWere(t *testing.T) {
	plan, errs := Compile(small())
	if errs != nil {
		t.Fatal(errs)
	}
	const before = "09ac8a" // of the filled spec, before there were rules
	if got := fmt.Sprintf("%x", SpecSum(plan.Spec))[:6]; got != before {
		t.Errorf("sum %s, was %s", got, before)
	}
	s := plan.Stages[0]
	if s.Extra != nil || s.Pool != DefaultPool || s.Gang || s.MaxUnavailable != 1 || plan.Owner != "j" {
		t.Errorf("%+v", s)
	}
}

func TestB41_MaxUnavailable(t *testing.T) {
	for _, tt := range []struct {
		kind, text string
		instances  int64
		want       uint64
	}{
		{"service", "", 8, 2}, {"service", "", 3, 1}, {"service", "", 1, 1}, {"batch", "", 8, 8},
		{"service", "3", 8, 3}, {"service", "30", 8, 8}, {"batch", "1", 8, 1},
		{"service", "50%", 9, 4}, {"service", "1%", 9, 1}, {"service", "100%", 9, 9}, {"batch", "10%", MaxInstances, MaxInstances / 10},
	} {
		spec := small()
		spec.Kind, spec.Stages[0].Instances, spec.Stages[0].MaxUnavailable = tt.kind, tt.instances, tt.text
		plan, errs := Compile(spec)
		if errs != nil || plan.Stages[0].MaxUnavailable != tt.want {
			t.Errorf("%+v: %+v, %v", tt, plan, errs)
		}
	}
}

func TestDeviceShares(t *testing.T) {
	for share, want := range map[string]int32{"": 1000, "250m": 250, "0.5": 500, "1": 1000, "1000m": 1000, "1m": 1} {
		spec := small()
		spec.Stages[0].Devices = &v1.Devices{Kind: "fpga", Share: share}
		plan, errs := Compile(spec)
		if errs != nil || !reflect.DeepEqual(plan.Stages[0].Extra, &Extra{Devices: DeviceNeed{Kind: "fpga", Count: 1, Milli: want}}) {
			t.Errorf("%q: %+v, %v", share, plan, errs)
		}
	}
}

// ruleRefusals is one bad rule each.
func ruleRefusals() []refusal {
	stage := func(f func(*v1.StageSpec)) func(*v1.JobSpec) { return func(j *v1.JobSpec) { f(j.Stages[0]) } }
	constraint := func(c *v1.Constraint) func(*v1.JobSpec) {
		return stage(func(s *v1.StageSpec) { s.Constraints = []*v1.Constraint{c} })
	}
	prefer := func(weight int32) func(*v1.JobSpec) {
		return stage(func(s *v1.StageSpec) { s.Prefer = []*v1.Constraint{{Attribute: "a", Op: "exists", Weight: weight}} })
	}
	affinity := func(a *v1.Affinity) func(*v1.JobSpec) {
		return stage(func(s *v1.StageSpec) { s.Affinity = []*v1.Affinity{a} })
	}
	spreads := func(list ...*v1.Spread) func(*v1.JobSpec) { return stage(func(s *v1.StageSpec) { s.Spreads = list }) }
	ports := func(list ...*v1.Port) func(*v1.JobSpec) { return stage(func(s *v1.StageSpec) { s.Ports = list }) }
	devices := func(d *v1.Devices) func(*v1.JobSpec) { return stage(func(s *v1.StageSpec) { s.Devices = d }) }
	unavailable := func(text string) func(*v1.JobSpec) { return stage(func(s *v1.StageSpec) { s.MaxUnavailable = text }) }
	custom := func(name string, n int64) func(*v1.JobSpec) {
		return stage(func(s *v1.StageSpec) { s.Resources = &v1.Resources{Custom: map[string]int64{name: n}} })
	}
	labels := map[string]string{"app": "web"}
	return []refusal{
		{"owner", func(j *v1.JobSpec) { j.Owner = "a\nb" }, "owner", "control"},
		{"number", constraint(&v1.Constraint{Attribute: "n", Op: "<", Value: "8Gi"}), "stages[0].constraints[0].value", "not a number"},
		{"version", constraint(&v1.Constraint{Attribute: "n", Op: "version", Value: ">=new"}), "stages[0].constraints[0].value", `">=1.20, <2"`},
		{"pattern", constraint(&v1.Constraint{Attribute: "n", Op: "matches", Value: "a("}), "stages[0].constraints[0].value", "regular expression"},
		{"pattern size", constraint(&v1.Constraint{Attribute: "n", Op: "matches", Value: strings.Repeat("a", MaxValueLen+1)}),
			"stages[0].constraints[0].value", "at most 256"},
		{"pattern that grows", constraint(&v1.Constraint{Attribute: "n", Op: "matches", Value: "((a{99}){99}){99}"}),
			"stages[0].constraints[0].value", "regular expression"},
		{"weight of a constraint", constraint(&v1.Constraint{Attribute: "n", Op: "exists", Weight: 1}), "stages[0].constraints[0].weight", "prefer"},
		{"no weight", prefer(0), "stages[0].prefer[0].weight", "1 to 100"},
		{"great weight", prefer(101), "stages[0].prefer[0].weight", "1 to 100"},
		{"small weight", prefer(-101), "stages[0].prefer[0].weight", "-100 to -1"},
		{"nil preference", stage(func(s *v1.StageSpec) { s.Prefer = []*v1.Constraint{nil} }), "stages[0].prefer[0]", "nil"},
		{"affinity to all", affinity(&v1.Affinity{}), "stages[0].affinity[0].labels", "missing"},
		{"affinity label", affinity(&v1.Affinity{Labels: map[string]string{"a b": ""}}), `stages[0].affinity[0].labels["a b"]`, "key"},
		{"affinity weight", affinity(&v1.Affinity{Labels: labels, Weight: -1}), "stages[0].affinity[0].weight", "at least 0"},
		{"affinity on", affinity(&v1.Affinity{Labels: labels, On: "*"}), "stages[0].affinity[0].on", "key"},
		{"affinity queue", affinity(&v1.Affinity{Labels: labels, Queue: "A"}), "stages[0].affinity[0].queue", `such as "a"`},
		{"anti-affinity", stage(func(s *v1.StageSpec) {
			s.AntiAffinity = make([]*v1.Affinity, 0)
			s.AntiAffinity = append(s.AntiAffinity, &v1.Affinity{})
		}),
			"stages[0].anti_affinity[0].labels", "missing"},
		{"affinities", stage(func(s *v1.StageSpec) {
			for range MaxAffinity + 1 {
				s.Affinity = append(s.Affinity, &v1.Affinity{Labels: labels})
			}
		}), "stages[0].affinity", "at most 16"},
		{"spread over nothing", spreads(&v1.Spread{}), "stages[0].spreads[0].on", "missing"},
		{"spread twice", spreads(&v1.Spread{On: "a"}, &v1.Spread{On: "a"}), "stages[0].spreads[1].on", "into one"},
		{"spread and spreads", stage(func(s *v1.StageSpec) { s.Spread, s.Spreads = "a", []*v1.Spread{{On: "a"}} }), "stages[0].spreads[0].on", "into one"},
		{"skew", spreads(&v1.Spread{On: "a", MaxSkew: -1}), "stages[0].spreads[0].max_skew", "at least 0"},
		{"most in a domain", spreads(&v1.Spread{On: "a", Max: -1}), "stages[0].spreads[0].max", "at least 0"},
		{"spread weight", spreads(&v1.Spread{On: "a", Weight: 101}), "stages[0].spreads[0].weight", "at most 100"},
		{"port name", ports(&v1.Port{}), "stages[0].ports[0].name", "missing"},
		{"port twice", ports(&v1.Port{Name: "a-b"}, &v1.Port{Name: "a_b"}), "stages[0].ports[1].name", "TROUPE_PORT_A_B"},
		{"port number", ports(&v1.Port{Name: "a", Number: 65536}), "stages[0].ports[0].number", "at most 65535"},
		{"port below", ports(&v1.Port{Name: "a", Number: -1}), "stages[0].ports[0].number", "at least 0"},
		{"number twice", ports(&v1.Port{Name: "a", Number: 80}, &v1.Port{Name: "b", Number: 80}), "stages[0].ports[1].number", "twice"},
		{"nil port", stage(func(s *v1.StageSpec) { s.Ports = []*v1.Port{nil} }), "stages[0].ports[0]", "nil"},
		{"ports", stage(func(s *v1.StageSpec) {
			for i := range MaxPorts + 1 {
				s.Ports = append(s.Ports, &v1.Port{Name: fmt.Sprint("p", i)})
			}
		}), "stages[0].ports", "at most 32"},
		{"device kind", devices(&v1.Devices{Kind: "GPU"}), "stages[0].devices.kind", `such as "gpu"`},
		{"device memory", devices(&v1.Devices{Kind: "memory"}), "stages[0].devices.kind", "own"},
		{"devices", devices(&v1.Devices{Count: 65}), "stages[0].devices.count", "at most 64"},
		{"share of two", devices(&v1.Devices{Count: 2, Share: "500m"}), "stages[0].devices.share", "count: 1"},
		{"share", devices(&v1.Devices{Share: "half"}), "stages[0].devices.share", `"250m"`},
		{"share of none", devices(&v1.Devices{Share: "0"}), "stages[0].devices.share", "not a share"},
		{"share of more", devices(&v1.Devices{Share: "1.5"}), "stages[0].devices.share", "at most 1000m"},
		{"model", devices(&v1.Devices{Models: []string{"a b"}}), "stages[0].devices.models[0]", "key"},
		{"model twice", devices(&v1.Devices{Models: []string{"a", "a"}}), "stages[0].devices.models[1]", "again"},
		{"device as unit", stage(func(s *v1.StageSpec) {
			s.Devices, s.Resources = &v1.Devices{}, &v1.Resources{Custom: map[string]int64{"gpu": 1}}
		}), "stages[0].resources.custom.gpu", "kind of its devices"},
		{"custom", custom("license", 0), "stages[0].resources.custom.license", "at least 1"},
		{"much custom", custom("license", MaxAmount+1), "stages[0].resources.custom.license", "at most"},
		{"custom cpu", custom("cpu", 1), "stages[0].resources.custom.cpu", "beside custom"},
		{"custom port", custom("port", 1), "stages[0].resources.custom.port", "field ports"},
		{"pool", stage(func(s *v1.StageSpec) { s.Pool = "GPU" }), "stages[0].pool", `such as "gpu"`},
		{"toleration", stage(func(s *v1.StageSpec) { s.Tolerations = []*v1.Toleration{{}} }), "stages[0].tolerations[0].key", "key"},
		{"gang in part", stage(func(s *v1.StageSpec) { s.Instances, s.Parallel, s.Gang = 4, 2, &v1.Gang{} }), "stages[0].gang", "parallel"},
		{"great gang", stage(func(s *v1.StageSpec) { s.Instances, s.Gang = MaxGang+1, &v1.Gang{} }), "stages[0].gang", "at most 10000"},
		{"gang hold", stage(func(s *v1.StageSpec) { s.Gang = &v1.Gang{Hold: "soon"} }), "stages[0].gang.hold", "not a duration"},
		{"duration", stage(func(s *v1.StageSpec) { s.Duration = "10" }), "stages[0].duration", `did you mean "10s"?`},
		{"score", stage(func(s *v1.StageSpec) { s.Score = &v1.Score{By: "best"} }), "stages[0].score.by", "bestfit"},
		{"own score", stage(func(s *v1.StageSpec) { s.Score = &v1.Score{By: "x-A"} }), "stages[0].score.by", "x-a"},
		{"modifier", stage(func(s *v1.StageSpec) { s.Score = &v1.Score{Weights: map[string]int32{"localty": 1}} }),
			"stages[0].score.weights.localty", `did you mean "locality"?`},
		{"modifier weight", stage(func(s *v1.StageSpec) { s.Score = &v1.Score{Weights: map[string]int32{"mix": -1}} }),
			"stages[0].score.weights.mix", "at least 0"},
		{"no unavailable", unavailable("0"), "stages[0].max_unavailable", `"10%"`},
		{"all and more", unavailable("101%"), "stages[0].max_unavailable", "1 to 100"},
		{"percent of nothing", unavailable("%"), "stages[0].max_unavailable", "not a number"},
		{"fraction", unavailable("1.5"), "stages[0].max_unavailable", "not a number"},
		{"wrapping", unavailable("18446744073709551617"), "stages[0].max_unavailable", "not a number"},
		{"package", stage(func(s *v1.StageSpec) { s.Packages = []string{"a b"} }), "stages[0].packages[0]", "blanks"},
		{"package twice", stage(func(s *v1.StageSpec) { s.Packages = []string{"a", "a"} }), "stages[0].packages[1]", "again"},
		{"data", stage(func(s *v1.StageSpec) { s.Data = map[string]string{"n1": "0"} }), "stages[0].data.n1", "zero"},
		{"data unit", stage(func(s *v1.StageSpec) { s.Data = map[string]string{"n1": "2GiB"} }), "stages[0].data.n1", "unit"},
		{"data node", stage(func(s *v1.StageSpec) { s.Data = map[string]string{"N1": "2Gi"} }), "stages[0].data.N1", `such as "n1"`},
		{"much data", stage(func(s *v1.StageSpec) { s.Data = many(MaxData + 1) }), "stages[0].data", "at most 1024"},
	}
}

func TestB9_RulesNameTheFieldAndWhatIsRight(t *testing.T) {
	for _, tt := range ruleRefusals() {
		spec := small()
		tt.change(spec)
		plan, errs := Compile(spec)
		if plan != nil || len(errs) != 1 {
			t.Errorf("%s: %+v, %v", tt.name, plan, errs)
			continue
		}
		if e := errs[0]; e.Field != tt.field || !strings.Contains(e.Problem+"; "+e.Hint, tt.text) {
			t.Errorf("%s: got %q %q %q; want field %q and %q", tt.name, e.Field, e.Problem, e.Hint, tt.field, tt.text)
		}
	}
}

// Whatever rules a spec has, it compiles to a fixed point or says why not.
func TestS3_AnyRulesCompileOrAreRefused(t *testing.T) {
	all := ruleRefusals()
	rapid.Check(t, func(t *rapid.T) {
		spec := demanding()
		proto.Merge(spec, &v1.JobSpec{Rank: int32(rapid.IntRange(-2, 2).Draw(t, "rank"))})
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			rapid.SampledFrom(all).Draw(t, "change").change(spec)
		}
		plan, errs := Compile(spec)
		if (plan == nil) == (errs == nil) {
			t.Fatalf("%+v, %v", plan, errs)
		}
		if plan == nil {
			return
		}
		again, errs := Compile(plan.Spec)
		if errs != nil || !proto.Equal(again.Spec, plan.Spec) {
			t.Fatalf("not a fixed point: %v", errs)
		}
		for _, s := range again.Stages {
			for _, c := range append(s.Constraints, s.Prefer...) {
				if _, err := c.Predicate(); err != nil {
					t.Fatalf("compiled, yet %s cannot be asked: %v", c, err)
				}
			}
		}
	})
}
