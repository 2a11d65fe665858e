package wire_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestBodiesComeBackAsTheyWere(t *testing.T) {
	want := &v1.JobStatus{
		Queue: "q", Name: "任务", Uid: math.MaxUint64, Rank: -3, Labels: map[string]string{"a": "b"},
		Counts: &v1.Counts{Done: 7}, Stages: []*v1.StageStatus{{Name: "s"}},
	}
	for _, form := range []wire.Form{wire.JSON, wire.Protobuf} {
		body, err := form.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := &v1.JobStatus{}
		if err := form.Unmarshal(body, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v came back as %v, %v", form.ContentType(), want, got, err)
		}
	}
}

func TestJSONIsPlainForScripts(t *testing.T) {
	body, err := wire.JSON.Marshal(&v1.StopReply{Phase: "running"})
	if want := `{"stopping":false,"phase":"running"}`; err != nil || string(body) != want {
		t.Fatalf("got %s, %v, want %s", body, err, want)
	}
	body, err = wire.JSON.Marshal(&v1.SubmitReply{Uid: 1 << 60})
	if want := `{"queue":"","name":"","uid":"1152921504606846976","created":false,"seq":"0"}`; err != nil || string(body) != want {
		t.Fatalf("got %s, %v, want %s", body, err, want)
	}
}

func TestB9_WrongJSONIsRefusedByFieldWithTheNearestName(t *testing.T) {
	for name, c := range map[string]struct {
		body, field, says string
	}{
		"typo":              {`{"job":{"naem":"x"}}`, "job.naem", `did you mean "name"`},
		"typo deep":         {`{"job":{"stages":[{},{"resources":{"memroy":"1Gi"}}]}}`, "job.stages[1].resources.memroy", `did you mean "memory"`},
		"case":              {`{"job":{"Name":"x"}}`, "job.Name", `did you mean "name"`},
		"stranger":          {`{"colour":{"a":[1,{"b":2}]}}`, "colour", "there is job, key"},
		"stranger then bad": {`{"job":{"zzzzzz":[[[]]],"rank":"high"}}`, "job.zzzzzz", "there is name"},
		"array for object":  {`{"job":[]}`, "job", "must be an object"},
		"object for string": {`{"job":{"name":{"a":1}}}`, "job.name", "must be a string"},
		"number for string": {`{"key":7}`, "key", "must be a string"},
		"string for list":   {`{"job":{"stages":"s"}}`, "job.stages", "must be an array"},
		"bool for number":   {`{"job":{"rank":true}}`, "job.rank", "must be a number"},
		"list for map":      {`{"job":{"labels":["a"]}}`, "job.labels", "must be an object"},
		"number in map":     {`{"job":{"labels":{"a":1}}}`, "job.labels.a", "must be a string"},
		"number in list":    {`{"job":{"stages":[{"command":["a",1]}]}}`, "job.stages[0].command[1]", "must be a string"},
		"twice":             {`{"key":"a","key":"b"}`, "key", "is there twice"},
		"not json":          {`job: x`, "body", "line 1, column 1"},
		"second line":       {"{\n  \"key\": \"a\",\n  nope\n}", "body", "line 3"},
		"cut off":           {`{"job":{"name":"x"`, "body", "ends in the middle"},
		"two objects":       {`{} {}`, "body", "more after the end"},
		"array":             {`[]`, "body", "must be an object"},
		"string":            {`"x"`, "body", "must be an object"},
		"out of range":      {`{"job":{"rank":99999999999}}`, "body", "rank"},
		"fraction":          {`{"job":{"rank":1.5}}`, "body", "rank"},
		"no number":         {`{"job":{"rank":"high"}}`, "body", "rank"},
		"bad utf-8":         {"{\"key\":\"\xff\"}", "body", "UTF-8"},
		"nan":               {`{"job":{"rank":NaN}}`, "body", "line 1"},
		"trailing comma":    {`{"key":"a",}`, "body", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := wire.JSON.Unmarshal([]byte(c.body), &v1.SubmitRequest{})
			var f *model.Fault
			if !errors.As(err, &f) || f.Err != model.ErrInvalid || f.Code != 400 || len(f.Fields) == 0 {
				t.Fatalf("got %v, want the fault invalid with a field", err)
			}
			first := f.Fields[0]
			if first.GetField() != c.field || !strings.Contains(first.GetProblem()+"; "+first.GetHint(), c.says) {
				t.Fatalf("got %v, want field %s and %q", first, c.field, c.says)
			}
			if strings.ContainsAny(f.Error(), "\n\r\u00a0") {
				t.Fatalf("%q is not one clean line", f.Error())
			}
		})
	}
}

func TestManyProblemsAreNamedUpToALimit(t *testing.T) {
	body := `{"job":{` + strings.Repeat(`"wrong_field_of_long_name":1,`, 1000) + `"name":"x"}}`
	var f *model.Fault
	if err := wire.JSON.Unmarshal([]byte(body), &v1.SubmitRequest{}); !errors.As(err, &f) || len(f.Fields) != 20 {
		t.Fatalf("got %d fields (%v), want 20", len(f.Fields), err)
	}
	err := wire.JSON.Unmarshal([]byte(`{"x":`+strings.Repeat("[", 500_000)), &v1.SubmitRequest{})
	if !errors.As(err, &f) {
		t.Fatalf("deep nesting: got %v", err)
	}
}

func TestGoodJSONIsTaken(t *testing.T) {
	for _, body := range []string{
		``, `{}`, ` {"job":null} `, `{"job":{"rank":"-2","labels":{},"stages":[{"instances":"7","command":["a"]}]}}`,
		`{"job":{"timeLimit":"10m"}}`, `{"job":{"time_limit":"10m","labels":null,"stages":[]}}`,
	} {
		if err := wire.JSON.Unmarshal([]byte(body), &v1.SubmitRequest{}); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestWrongProtobufIsRefused(t *testing.T) {
	good, _ := proto.Marshal(&v1.SubmitRequest{Job: &v1.JobSpec{Name: "x"}, Key: "k"})
	for name, body := range map[string][]byte{
		"truncated": good[:len(good)-1], "huge varint": {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"json": []byte(`{"job":{}}`), "bad utf-8": {0x12, 0x01, 0xff}, "length beyond the end": {0x0a, 0xff, 0xff, 0xff, 0xff, 0x07},
		"group without end": {0x1b},
	} {
		var f *model.Fault
		if err := wire.Protobuf.Unmarshal(body, &v1.SubmitRequest{}); !errors.As(err, &f) || f.Err != model.ErrInvalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

func TestFormOf(t *testing.T) {
	for value, want := range map[string]wire.Form{
		"": wire.JSON, "application/json": wire.JSON, "application/json; charset=utf-8": wire.JSON,
		"application/protobuf": wire.Protobuf, "APPLICATION/Protobuf": wire.Protobuf,
	} {
		if got, err := wire.FormOf(map[string][]string{"content-type": {value}}); err != nil || got != want {
			t.Errorf("%q: got %v, %v", value, got, err)
		}
	}
	for _, value := range []string{"text/plain", "application/xml", "json", ";", strings.Repeat("x", 5000), "a\r\nb"} {
		_, err := wire.FormOf(map[string][]string{wire.HeaderContentType: {value}})
		var f *model.Fault
		if !errors.As(err, &f) || f.Err != model.ErrInvalid || len(f.Error()) > 500 {
			t.Errorf("%q: got %v", value, err)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"submit", "status", "stop", "list", "drain", "undrain"}
	for word, want := range map[string]string{
		"sumbit": "submit", "Status": "status", "lst": "list", "drian": "drain", "undrian": "undrain", "stopp": "stop",
		"elephant": "", "": "", "x": "", strings.Repeat("s", 5000): "",
	} {
		if got := wire.Nearest(word, names); got != want {
			t.Errorf("%.20q: got %q, want %q", word, got, want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"job":{"stages":[{"resources":{"cpu":"1"}}]},"key":"x"}`))
	f.Add([]byte(`{"job":{"labels":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m := &v1.SubmitRequest{}
		err := wire.JSON.Unmarshal(body, m)
		var fault *model.Fault
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("%T %v", err, err)
		}
		if err == nil {
			out, err := wire.JSON.Marshal(m)
			again := &v1.SubmitRequest{}
			if err != nil || wire.JSON.Unmarshal(out, again) != nil || !proto.Equal(m, again) {
				t.Fatalf("%s came back as %v, %v", out, again, err)
			}
		}
	})
}
