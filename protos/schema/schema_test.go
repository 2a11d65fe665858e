package schema

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func describe(m protoreflect.ProtoMessage) protoreflect.MessageDescriptor {
	return m.ProtoReflect().Descriptor()
}

func TestX6_SchemaOfAMessage(t *testing.T) {
	for _, tt := range []struct {
		m    protoreflect.ProtoMessage
		want string
	}{
		{&v1.QueueRef{}, `{"$schema":"https://json-schema.org/draft/2020-12/schema","additionalProperties":false,` +
			`"properties":{"name":{"type":"string"}},"title":"QueueRef","type":"object"}`},
		{&v1.LookupReply{}, `{"$defs":{"Endpoint":{"additionalProperties":false,` +
			`"description":"Endpoint is where one running instance is found.","properties":{` +
			`"fence":{"minimum":0,"pattern":"^[0-9]+$","type":["integer","string"]},"name":{"type":"string"},"node":{"type":"string"}},` +
			`"type":"object"}},"$schema":"https://json-schema.org/draft/2020-12/schema","additionalProperties":false,"properties":{` +
			`"endpoints":{"items":{"$ref":"#/$defs/Endpoint"},"type":"array"}},"title":"LookupReply","type":"object"}`},
	} {
		if got := string(Schema(describe(tt.m))); got != tt.want {
			t.Errorf("got\n%s\nwant\n%s", got, tt.want)
		}
	}
}

// Every message of the protos has a schema: valid JSON, always the same bytes, every reference there, and small enough
// for all endpoints' schemas to travel in one answer.
func TestSchemaOfEveryMessage(t *testing.T) {
	n := 0
	for _, file := range []protoreflect.FileDescriptor{v1.File_v1_job_proto, v1.File_v1_api_proto, v1.File_v1_journal_proto, v1.File_v1_agent_proto} {
		for i := range file.Messages().Len() {
			n++
			md := file.Messages().Get(i)
			data := Schema(md)
			if len(data) > 32<<10 { // records of the journal, which hold everything, come closest
				t.Errorf("%s: %d bytes", md.Name(), len(data))
			}
			if !bytes.Equal(data, Schema(md)) {
				t.Errorf("%s: differs from one call to the next", md.Name())
			}
			var decoded struct {
				Defs       map[string]json.RawMessage `json:"$defs"`
				Properties map[string]json.RawMessage `json:"properties"`
			}
			if err := json.Unmarshal(data, &decoded); err != nil {
				t.Fatalf("%s: %v", md.Name(), err)
			}
			if len(decoded.Properties) != md.Fields().Len() {
				t.Errorf("%s: %d properties for %d fields", md.Name(), len(decoded.Properties), md.Fields().Len())
			}
			for _, part := range strings.Split(string(data), `"$ref":"#/$defs/`)[1:] {
				if name, _, _ := strings.Cut(part, `"`); len(decoded.Defs[name]) < 10 {
					t.Errorf("%s: no definition of %s", md.Name(), name)
				}
			}
		}
	}
	if n < 60 {
		t.Errorf("saw %d messages only", n)
	}
}

func TestSchemaOfMapsEnumsAndBytes(t *testing.T) {
	job := string(Schema(describe(&v1.JobSpec{})))
	if want := `"labels":{"additionalProperties":{"type":"string"},"description":"Labels select jobs and instances in lists.","type":"object"}`; !strings.Contains(job, want) {
		t.Errorf("no %s in %s", want, job)
	}
	attempt := string(Schema(describe(&v1.AttemptState{})))
	for _, want := range []string{`"result":{"contentEncoding":"base64","type":"string"}`, `"enum":["ATTEMPT_PHASE_UNSPECIFIED",`,
		`"exit_code":{"maximum":2147483647,"minimum":-2147483648,"type":"integer"}`} {
		if !strings.Contains(attempt, want) {
			t.Errorf("no %s in %s", want, attempt)
		}
	}
}
