package schema_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/troupe-sched/troupe/protos/schema"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

type node = map[string]any

func parse(t *testing.T, m protoreflect.ProtoMessage) node {
	t.Helper()
	first, second := schema.Schema(m.ProtoReflect().Descriptor()), schema.Schema(m.ProtoReflect().Descriptor())
	if !bytes.Equal(first, second) {
		t.Fatal("two schemas of one message differ")
	}
	var out node
	if err := json.Unmarshal(first, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestJobSchemaSaysWhatAPersonNeeds(t *testing.T) {
	s := parse(t, &v1.JobSpec{})
	if s["$ref"] != "#/$defs/JobSpec" || s["title"] != "JobSpec" {
		t.Fatalf("got %v %v", s["$ref"], s["title"])
	}
	defs := s["$defs"].(node)
	for _, name := range []string{"JobSpec", "StageSpec", "Resources", "Constraint", "Retry", "Stop"} {
		if defs[name].(node)["additionalProperties"] != false {
			t.Errorf("%s lets unknown fields in", name)
		}
	}
	job := defs["JobSpec"].(node)["properties"].(node)
	for path, want := range map[string]any{
		"name.type": "string", "rank.type": "integer", "labels.type": "object", "stages.type": "array",
		"name.description": "Name, unique among the live jobs of its queue: ^[a-z0-9][a-z0-9_-]{0,62}$.",
	} {
		field, key, _ := bytes.Cut([]byte(path), []byte("."))
		if got := job[string(field)].(node)[string(key)]; got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if items := job["stages"].(node)["items"].(node)["$ref"]; items != "#/$defs/StageSpec" {
		t.Errorf("stages are %v", items)
	}
	if _, camel := job["timeLimit"]; camel || job["time_limit"] == nil {
		t.Error("names are not those of the proto")
	}
}

func TestEveryMessageOfTheAPIHasASchemaWithoutLooseEnds(t *testing.T) {
	messages := v1.File_v1_api_proto.Messages()
	for i := range messages.Len() {
		raw := schema.Schema(messages.Get(i))
		var s node
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		defs := s["$defs"].(node)
		var walk func(any)
		walk = func(v any) {
			switch v := v.(type) {
			case node:
				if to, ok := v["$ref"].(string); ok && defs[to[len("#/$defs/"):]] == nil {
					t.Errorf("%s refers to %s, which is not there", messages.Get(i).Name(), to)
				}
				for _, c := range v {
					walk(c)
				}
			case []any:
				for _, c := range v {
					walk(c)
				}
			}
		}
		walk(s)
	}
}

func TestRecursionEnds(t *testing.T) {
	tree := parse(t, &v1.CellTree{})["$defs"].(node)["TreeNode"].(node)["properties"].(node)
	if got := tree["children"].(node)["items"].(node)["$ref"]; got != "#/$defs/TreeNode" {
		t.Fatalf("children are %v", got)
	}
}

func TestKindsOfJSON(t *testing.T) {
	attempt := parse(t, &v1.AttemptState{})["$defs"].(node)["AttemptState"].(node)["properties"].(node)
	if got := attempt["result"].(node)["contentEncoding"]; got != "base64" {
		t.Errorf("bytes are %v", got)
	}
	if got := attempt["phase"].(node)["enum"].([]any); got[0] != "ATTEMPT_PHASE_UNSPECIFIED" {
		t.Errorf("phases are %v", got)
	}
	if got := attempt["fence"].(node)["type"].([]any); len(got) != 2 {
		t.Errorf("a 64-bit number is %v, want integer or string", got)
	}
}
