package jobfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const asYAML = `# counts
name: count
queue: tools
rank: -3
labels: {team: 词, release: 1.10}
time_limit: 10m
stages:
  - name: map
    instances: 1_000
    command: [wc, -l, 5, true]
    env:
      PATH: /bin
      DEBUG: true
      LEVEL: 0644
      EMPTY: ""
    resources: {cpu: 2, memory: 64Mi}
    constraints:
      - attribute: os
        value: linux
      - {attribute: rack, op: in, values: [r1, r2]}
    retry: {attempts: 5}
  - name: sum
    after: [map]
    driver: func
    func: example.Sum
`

const asTOML = `# counts
name = "count"
queue = 'tools'
rank = -3
labels = {team = "词", release = "1.10"}
time_limit = "10m"

[[stages]]
name = "map"
instances = 1_000
command = ["wc", "-l", 5, true]
env.PATH = "/bin"
env.DEBUG = true
env.LEVEL = "0644"
env.EMPTY = ""
constraints = [
  {attribute = "os", value = "linux"},
  {attribute = "rack", op = "in", values = ["r1", "r2"]},
]
[stages.resources]
cpu = 2
memory = "64Mi"
[stages.retry]
attempts = 5

[[stages]]
name = "sum"
after = ["map"]
driver = "func"
func = "example.Sum"
`

const asJSON = `{
  "name": "count", "queue": "tools", "rank": -3, "labels": {"team": "\u8bcd", "release": "1.10"}, "timeLimit": "10m",
  "stages": [
    {"name": "map", "instances": "1000", "command": ["wc", "-l", 5, true],
     "env": {"PATH": "/bin", "DEBUG": true, "LEVEL": "0644", "EMPTY": ""},
     "resources": {"cpu": 2, "memory": "64Mi"},
     "constraints": [{"attribute": "os", "value": "linux"}, {"attribute": "rack", "op": "in", "values": ["r1", "r2"]}],
     "retry": {"attempts": 5}},
    {"name": "sum", "after": ["map"], "driver": "func", "func": "example.Sum"}
  ]
}`

// TestB9_OneSchemaInThreeFormats shows the same job from YAML, TOML and JSON, by extension and by content.
func TestB9_OneSchemaInThreeFormats(t *testing.T) {
	want := &v1.JobSpec{
		Name: "count", Queue: "tools", Rank: -3, Labels: map[string]string{"team": "词", "release": "1.10"}, TimeLimit: "10m",
		Stages: []*v1.StageSpec{
			{Name: "map", Instances: 1000, Command: []string{"wc", "-l", "5", "true"},
				Env:       map[string]string{"PATH": "/bin", "DEBUG": "true", "LEVEL": "0644", "EMPTY": ""},
				Resources: &v1.Resources{Cpu: "2", Memory: "64Mi"},
				Constraints: []*v1.Constraint{
					{Attribute: "os", Value: "linux"}, {Attribute: "rack", Op: "in", Values: []string{"r1", "r2"}},
				},
				Retry: &v1.Retry{Attempts: 5}},
			{Name: "sum", After: []string{"map"}, Driver: "func", Func: "example.Sum"},
		},
	}
	for _, file := range []struct{ name, data string }{
		{"job.yaml", asYAML}, {"job.YML", asYAML}, {"job", asYAML}, {"-", "\ufeff" + asYAML},
		{"job.toml", asTOML}, {"job.txt", asTOML}, {"job.toml", strings.ReplaceAll(asTOML, "\n", "\r\n")},
		{"job.json", asJSON}, {"job", asJSON}, {"job.yaml", asJSON},
		{"job.yaml", strings.ReplaceAll(asYAML, "\n", "\r\n")},
	} {
		doc, err := Parse(file.name, []byte(file.data))
		if err != nil {
			t.Errorf("%s: %v", file.name, err)
			continue
		}
		if !proto.Equal(doc.Spec, want) {
			t.Errorf("%s: got\n%v\nwant\n%v", file.name, doc.Spec, want)
		}
		if _, errs := model.Compile(doc.Spec); errs != nil {
			t.Errorf("%s: %v", file.name, errs)
		}
	}
}

func TestB9_UnknownAndWrongFieldsNameTheirPlace(t *testing.T) {
	for _, tt := range []struct{ file, data, want string }{
		{"j.yaml", "name: a\nstages:\n  - name: s\n    instance: 5\n",
			"j.yaml:4:5: stages[0]: unknown field `instance`; did you mean `instances`?"},
		{"j.toml", "name = 'a'\n[[stages]]\n  instance = 5\n",
			"j.toml:3:3: stages[0]: unknown field `instance`; did you mean `instances`?"},
		{"j.json", "{\"name\": \"a\",\n \"stages\": [{\"instance\": 5}]}",
			"j.json:2:14: stages[0]: unknown field `instance`; did you mean `instances`?"},
		{"j.yaml", "词: 1\n", "j.yaml:1:1: unknown field \"词\"; one of name, queue, kind, band, rank, labels, time_limit, stages, owner"},
		{"j.json", `{"queue": "词", "nam": 1}`, "j.json:1:16: unknown field `nam`; did you mean `name`?"},
		{"j.yaml", "timeLimits: 5s", "j.yaml:1:1: unknown field `timeLimits`; did you mean `time_limit`?"},
		{"j.yaml", "time-limit: 5s", "j.yaml:1:1: unknown field `time-limit`; did you mean `time_limit`?"},
		{"j.yaml", "stages: [{cpu: 1}]", "j.yaml:1:11: stages[0]: unknown field `cpu`; did you mean `cpu` under `resources`?"},
		{"j.yaml", "command: [a]", "j.yaml:1:1: unknown field `command`; did you mean `command` under `stages`?"},
		{"j.yaml", "name: [a]", "j.yaml:1:7: name: is a list, wants text"},
		{"j.yaml", "name:\nqueue: q", "j.yaml:1:6: name: has no value; give text, or remove the field"},
		{"j.yaml", "rank: high", "j.yaml:1:7: rank: \"high\" is not a whole number; such as 10"},
		{"j.yaml", "rank: 1.5", "j.yaml:1:7: rank: \"1.5\" is not a whole number; such as 10"},
		{"j.yaml", "rank: 010", "j.yaml:1:7: rank: \"010\" begins with a zero; is it octal? write the number without the zero"},
		{"j.yaml", "rank: 2147483648", "j.yaml:1:7: rank: \"2147483648\" is out of range; a whole number of 32 bits"},
		{"j.json", `{"stages": [{"instances": 9223372036854775808}]}`,
			"j.json:1:27: stages[0].instances: \"9223372036854775808\" is out of range; a whole number of 64 bits"},
		{"j.yaml", "rank: true", "j.yaml:1:7: rank: is a truth value, wants a whole number"},
		{"j.yaml", "stages: {name: s}", "j.yaml:1:9: stages: is a table, wants a list; put it into [ ]"},
		{"j.yaml", "stages: [s]", "j.yaml:1:10: stages[0]: is text, wants a table of fields; such as {name: …, after: …}"},
		{"j.yaml", "stages: [{command: echo hi}]", "j.yaml:1:20: stages[0].command: is text, wants a list; put it into [ ]"},
		{"j.yaml", "labels: [a]", "j.yaml:1:9: labels: is a list, wants a table of names and values"},
		{"j.yaml", "labels: {a: {b: c}}", "j.yaml:1:13: labels.a: is a table, wants text"},
		{"j.yaml", "- name: a", "j.yaml:1:1: is a list, wants a table of fields; such as {name: …, queue: …}"},
		{"j.yaml", "name: a\nname: b\n", "j.yaml:2:1: the field `name` is there twice; the first is in line 1; remove one"},
		{"j.toml", "name = 'a'\nname = 'b'\n", "j.toml:2:1: the field `name` is there twice; the first is in line 1; remove one"},
		{"j.json", `{"name": "a", "name": "b"}`, "j.json:1:15: the field `name` is there twice; the first is in line 1; remove one"},
		{"j.json", `{"time_limit": "1s", "timeLimit": "2s"}`, "j.json:1:22: the field `timeLimit` is there twice; remove one"},
		{"j.toml", "name.a = 1\nname = 2\n", "j.toml:2:1: the field `name` is there twice; the first is in line 1; remove one"},
		{"j.toml", "[name]\n[[name]]\n", "j.toml:2:3: `name` is a table already"},
		{"j.toml", "[labels]\n[labels]\n", "j.toml:2:2: table labels already exists"},
		{"j.toml", "stages = []\n[[stages]]\n", "j.toml:2:3: key stages already exists as a value, but should be an array table"},
		{"j.toml", "name = \n", "j.toml:1:8: unexpected character U+000A at start of value"},
		{"j.yaml", "a: &x 1\nb: *x\n", "j.yaml:1:4: anchors and aliases are not supported; write the value out"},
		{"j.yaml", "<<: {name: a}", "j.yaml:1:1: not the name of a field; write name: value"},
		{"j.yaml", "? [a]\n: b\n", "j.yaml:1:3: not the name of a field; write name: value"},
		{"j.yaml", "name: !!str 5", "j.yaml:1:7: tags are not supported; put text into quotes"},
		{"j.yaml", "name: a\n---\nname: b\n", "j.yaml:2:1: a second document; one job a file"},
		{"j.yaml", "name: [a", "j.yaml:1: did not find expected ',' or ']'"},
		{"j.yaml", "a: b: c", "j.yaml:1: mapping values are not allowed in this context"},
		{"j.json", `{"name": "a"`, "j.json:1:13: the file ends in the middle; close every bracket and quote"},
		{"j.json", `{"name": a}`, "j.json:1:10: invalid character 'a' looking for beginning of value"},
		{"j.json", `{} {}`, "j.json:1:4: something follows the job; one job a file"},
		{"j.json", `{} x`, "j.json:1:4: something follows the job; one job a file"},
		{"j.json", "null", "j.json:1:1: has no value; give a table of fields, or remove the field"},
		{"j.yaml", " \n", "j.yaml: the file is empty; give a job: its name and its stages"},
		{"j.yaml", "# only\n", "j.yaml: the file is empty; give a job: its name and its stages"},
		{"j.yaml", "name: a\nqueue: \xff", "j.yaml:2:8: the file is not UTF-8 text"},
		{"j.yaml", strings.Repeat("[", 40) + strings.Repeat("]", 40), "j.yaml:1:33: nested too deep; at most 32 levels"},
		{"j.toml", "a = " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "j.toml:1:1: nested too deep; at most 32 levels"},
		{"j.toml", strings.Repeat("a.", 40) + "a = 1", "j.toml:1:63: nested too deep; at most 32 levels"},
		{"j.toml", "[" + strings.Repeat("a.", 40) + "a]", "j.toml:1:64: nested too deep; at most 32 levels"},
		{"j.json", strings.Repeat("[", 1<<19), "j.json:1:33: nested too deep; at most 32 levels"},
	} {
		doc, err := Parse(tt.file, []byte(tt.data))
		var e *Error
		if doc != nil || !errors.As(err, &e) {
			t.Errorf("%q: got %v, %v; want %q", tt.data, doc, err, tt.want)
		} else if err.Error() != tt.want {
			t.Errorf("%.100q:\n got %s\nwant %s", tt.data, err, tt.want)
		}
	}
}

func TestLimits(t *testing.T) {
	if _, err := Parse("j.yaml", make([]byte, MaxBytes+1)); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("size: %v", err)
	}
	var many strings.Builder
	for i := range MaxFields + 1 {
		fmt.Fprintf(&many, "k%d = 1\n", i)
	}
	if _, err := Parse("j.toml", []byte(many.String())); err == nil || !strings.Contains(err.Error(), "at most 2048 in one table") {
		t.Errorf("fields: %v", err)
	}
	var unknown strings.Builder
	for i := range 60 {
		fmt.Fprintf(&unknown, "k%d: 1\n", i)
	}
	var e *Error
	_, err := Parse("j.yaml", []byte("name: {}\n"+unknown.String()))
	if !errors.As(err, &e) || len(e.Problems) != MaxProblems || e.More != 41 || !strings.HasSuffix(err.Error(), fmt.Sprintf("and %d more", e.More)) {
		t.Errorf("problems: %v", err)
	}
	if e.Problems[0].Field != "name" || e.Problems[19].Line != 20 {
		t.Errorf("problems: %+v", e.Problems)
	}
}

// TestB9_CompileErrorsGetTheirPlace shows that what the compiler finds wrong is told with the place in the file.
func TestB9_CompileErrorsGetTheirPlace(t *testing.T) {
	doc, err := Parse("j.yaml", []byte(`name: a
stages:
  - name: s
    command: [a, "b\0"]
    env: {LD_PRELOAD: x, "a.b": "", "c[\"d": "\0"}
    resources:
      cpu: fast
  - command: [b]
`))
	if err != nil {
		t.Fatal(err)
	}
	_, errs := model.Compile(doc.Spec)
	got := doc.Refuse(errs).Error()
	want := `j.yaml:4:18: stages[0].command[1]: contains a NUL; no program can receive it
j.yaml:5:11: stages[0].env.LD_PRELOAD: is not allowed: it makes a program load other code; set it inside a program of your own
j.yaml:5:37: stages[0].env["c[\"d"]: contains a NUL; no program can receive it
j.yaml:7:7: stages[0].resources.cpu: "fast" is not a quantity; write cores or milli-cores, such as "2" or "250m"
j.yaml:8:5: stages[1].name: is missing; give it a name of a-z, 0-9, _ and -`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for field, want := range map[string]place{
		"": {1, 1}, "name": {1, 1}, "queue": {1, 1}, "stages[0].stop.grace": {3, 5}, "stages[0].resources.memory": {6, 5},
		`stages[0].env["a.b"]`: {5, 26}, `stages[0].env["x[y"]`: {5, 5}, "stages[7]": {2, 1}, "]": {1, 1}, `"]`: {1, 1}, `["]`: {1, 1},
	} {
		if line, column := doc.Locate(field); (place{line, column}) != want {
			t.Errorf("%s: got %d:%d, want %v", field, line, column, want)
		}
	}
}

func TestRefuseHasALimit(t *testing.T) {
	doc := &Document{File: "f", places: map[string]place{"": {1, 1}}}
	if e := doc.Refuse(make([]*v1.FieldError, 33)); len(e.Problems) != MaxProblems || e.More != 13 {
		t.Errorf("%d and %d more", len(e.Problems), e.More)
	}
}

// The walker knows every kind of field that the schema of job files has.
func TestSchemaHasNoOtherKinds(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	var walk func(protoreflect.MessageDescriptor)
	walk = func(md protoreflect.MessageDescriptor) {
		if seen[md.FullName()] {
			return
		}
		seen[md.FullName()] = true
		for i := range md.Fields().Len() {
			fd := md.Fields().Get(i)
			if fd.IsMap() {
				if fd.MapKey().Kind() != protoreflect.StringKind || fd.MapValue().Message() != nil {
					t.Errorf("%s is a map that cannot be written", fd.FullName())
				}
				fd = fd.MapValue()
			}
			switch fd.Kind() {
			case protoreflect.MessageKind:
				walk(fd.Message())
			case protoreflect.StringKind, protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Int64Kind:
			default:
				t.Errorf("%s is %v, which the walker does not know", fd.FullName(), fd.Kind())
			}
		}
	}
	walk((&v1.JobSpec{}).ProtoReflect().Descriptor())
	if len(seen) < 6 {
		t.Errorf("walked %d messages only", len(seen))
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a.yaml", []byte(asYAML))
	f.Add("a.toml", []byte(asTOML))
	f.Add("a.json", []byte(asJSON))
	f.Add("a", []byte("[[stages]]\n[stages.env]\nA.b='c'"))
	f.Add("a.yaml", []byte("? a\n: |\n  b\n- !x &a *b"))
	f.Add("a.json", []byte("{\"a\": [1, {\"b\": null}]"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		doc, err := Parse(name, data)
		if err != nil {
			var e *Error
			if doc != nil || !errors.As(err, &e) || len(e.Problems) == 0 || len(e.Problems) > MaxProblems {
				t.Fatalf("%v, %v", doc, err)
			}
			lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + strings.Count(string(data), "\u0085") +
				strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + 2
			for _, p := range e.Problems {
				if p.Line > lines || p.Line < 0 || p.Column < 0 || p.Text == "" {
					t.Fatalf("%+v in %d lines", p, lines)
				}
			}
			return
		}
		if _, err := proto.Marshal(doc.Spec); err != nil {
			t.Fatal(err)
		}
		if _, errs := model.Compile(doc.Spec); errs != nil {
			_ = doc.Refuse(errs).Error()
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, file := range []struct{ name, data string }{{"job.yaml", asYAML}, {"job.toml", asTOML}, {"job.json", asJSON}} {
		b.Run(file.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(file.name, []byte(file.data)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
