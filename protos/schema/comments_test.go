package schema

import (
	"encoding/json"
	"testing"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestX6_SchemasSayWhatTheProtosSay(t *testing.T) {
	var s struct {
		Description string
		Properties  map[string]struct{ Description string }
		Defs        map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(describe(&v1.JobSpec{})), &s); err != nil {
		t.Fatal(err)
	}
	if s.Description == "" || s.Defs["Resources"].Properties["memory"].Description == "" {
		t.Errorf("got %+v", s)
	}
	if got, want := s.Properties["name"].Description, "Name, unique among the live jobs of its queue: ^[a-z0-9][a-z0-9_-]{0,62}$."; got != want {
		t.Errorf("the name is %q, want %q", got, want)
	}
}

// A comment belongs to what stands below it, and to nothing else.
func TestCommentsAreReadFromTheSource(t *testing.T) {
	got := map[string]string{}
	read(`// Header of the file.

// About A,
// in two lines.
message A {
  // About x.
  string x = 1; string y = 2;
  string z = 3;
  oneof kind {
    // About o.
    bool o = 4;
  }
}
message B { string b = 1; }
`, got)
	want := map[string]string{"A": "About A, in two lines.", "A.x": "About x.", "A.o": "About o."}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: got %q, want %q", k, got[k], v)
		}
	}
}
