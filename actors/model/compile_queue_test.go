package model

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestF25_QueueCompiledWhole(t *testing.T) {
	spec := &v1.QueueSpec{Name: "q", MaxJobs: 5, MaxSlots: 7, Description: "量",
		Quota: &v1.Quota{Cpu: "8", Memory: "16Gi", Custom: map[string]int64{"gpu": 4000, "license": 0}},
		Max:   &v1.Quota{Cpu: "8.5", Net: "1G", Custom: map[string]int64{"gpu": 4000}},
		Order: "shortest", Backfill: "none", Predict: "recent", Score: &v1.Score{By: "x-mine", Weights: map[string]int32{"mix": 0, "spread": 5}}}
	plan, errs := CompileQueue(spec)
	if errs != nil {
		t.Fatal(errs)
	}
	want := &QueuePlan{Name: "q", MaxJobs: 5, MaxSlots: 7,
		Quota: []Amount{{"cpu", 8000}, {"gpu", 4000}, {"license", 0}, {"memory", 16 << 30}},
		Max:   []Amount{{"cpu", 8500}, {"gpu", 4000}, {"net", 1e9}},
		Order: OrderShortest, Backfill: BackfillNone, Predict: PredictRecent, Score: ScorePlan{"x-mine", []Amount{{"mix", 0}, {"spread", 5}}}}
	if !proto.Equal(plan.Spec, spec) || plan.Spec == spec {
		t.Errorf("spec %v", plan.Spec)
	}
	if plan.Spec = nil; !reflect.DeepEqual(plan, want) {
		t.Errorf("got %+v\nwant %+v", plan, want)
	}
	plain, errs := CompileQueue(&v1.QueueSpec{Name: "q"})
	if errs != nil || plain.Quota != nil || plain.Max != nil || plain.Order.String() != "fair" || plain.Backfill.String() != "easy" {
		t.Errorf("%+v, %v", plain, errs)
	}
	if got := QueueOrder(9).String() + " " + Backfilling(9).String(); got != "order(9) backfill(9)" {
		t.Error(got)
	}
}

func TestF25_QueueNamesTheFieldAndWhatIsRight(t *testing.T) {
	for _, tt := range []struct {
		change func(*v1.QueueSpec)
		field  string
		text   string
	}{
		{func(q *v1.QueueSpec) { q.Name = "" }, "name", "missing"},
		{func(q *v1.QueueSpec) { q.Name = "_INBOX" }, "name", "not a name"},
		{func(q *v1.QueueSpec) { q.MaxJobs = -1 }, "max_jobs", "at least 0"},
		{func(q *v1.QueueSpec) { q.MaxSlots = math.MaxInt64 }, "max_slots", "at most"},
		{func(q *v1.QueueSpec) { q.Description = "a\r\nb" }, "description", "control"},
		{func(q *v1.QueueSpec) { q.Description = strings.Repeat("x", MaxDescription+1) }, "description", "at most 1024"},
		{func(q *v1.QueueSpec) { q.Quota = &v1.Quota{Cpu: "-1"} }, "quota.cpu", "negative"},
		{func(q *v1.QueueSpec) { q.Quota = &v1.Quota{Memory: "16GB"} }, "quota.memory", `did you mean "16G"?`},
		{func(q *v1.QueueSpec) { q.Quota = &v1.Quota{Custom: map[string]int64{"cpu": 1}} }, "quota.custom.cpu", "beside custom"},
		{func(q *v1.QueueSpec) { q.Max = &v1.Quota{Custom: map[string]int64{"gpu": -1}} }, "max.custom.gpu", "at least 0"},
		{func(q *v1.QueueSpec) { q.Quota, q.Max = &v1.Quota{Cpu: "2"}, &v1.Quota{Cpu: "1"} }, "max.cpu", "1 is below the quota of 2"},
		{func(q *v1.QueueSpec) {
			q.Quota, q.Max = &v1.Quota{Custom: map[string]int64{"gpu": 2}}, &v1.Quota{Custom: map[string]int64{"gpu": 1}}
		}, "max.custom.gpu", "1 is below the quota of 2"},
		{func(q *v1.QueueSpec) { q.Order = "fairr" }, "order", `did you mean "fair"?`},
		{func(q *v1.QueueSpec) { q.Backfill = "all" }, "backfill", `one of "easy"`},
		{func(q *v1.QueueSpec) { q.Predict = "oracle" }, "predict", `one of "learned", "recent"`},
		{func(q *v1.QueueSpec) { q.Score = &v1.Score{By: "best" + "fi"} }, "score.by", `did you mean "bestfit"?`},
		{func(q *v1.QueueSpec) { q.Score = &v1.Score{Weights: map[string]int32{"mix": 101}} }, "score.weights.mix", "at most 100"},
	} {
		spec := &v1.QueueSpec{Name: "q"}
		tt.change(spec)
		plan, errs := CompileQueue(spec)
		if plan != nil || len(errs) != 1 || errs[0].Field != tt.field || !strings.Contains(errs[0].Problem+"; "+errs[0].Hint, tt.text) {
			t.Errorf("%v: %+v, %v; want field %q and %q", spec, plan, errs, tt.field, tt.text)
		}
	}
	if plan, errs := CompileQueue(nil); plan != nil || len(errs) != 1 {
		t.Errorf("%v, %v", plan, errs)
	}
}
