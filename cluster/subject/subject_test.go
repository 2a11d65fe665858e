package subject_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	"pgregory.net/rapid"
)

// evil are tokens that must never reach a subject.
var evil = map[string]string{
	"empty": "", "star": "*", "all": ">", "dot": ".", "inner dot": "a.b", "space": "a b", "tab": "a\tb",
	"line": "a\r\nPUB x 1", "nul": "a\x00", "upper": "Job", "dash first": "-a", "underscore first": "_a",
	"dollar": "$JS", "kv": "$KV", "inbox": "_INBOX", "unicode": "müll", "bad utf8": "\xff", "wild in name": "job*",
	"too long": strings.Repeat("a", 64), "overlong": strings.Repeat("a", 5000), "slash": "a/b",
}

func TestTrapEmptyTokens_X6_EvilTokensNeverReachASubject(t *testing.T) {
	for name, token := range evil {
		t.Run(name, func(t *testing.T) {
			good := subject.Request{Cell: "dev", Queue: "q", Resource: "job", Verb: "status", ID: "j"}
			for field, set := range map[string]func(*subject.Request){
				"cell":     func(r *subject.Request) { r.Cell = token },
				"queue":    func(r *subject.Request) { r.Queue = token },
				"resource": func(r *subject.Request) { r.Resource = token },
				"verb":     func(r *subject.Request) { r.Verb = token },
				"id":       func(r *subject.Request) { r.ID = token },
			} {
				r := good
				set(&r)
				if field == "id" && token == "" {
					continue // a subject without id
				}
				s, err := r.Build()
				refused(t, s, err, "subject."+field)
			}
			s, err := subject.Event{Cell: "dev", Queue: "q", Kind: "ended", Job: token}.Build()
			refused(t, s, err, "subject.job")
			s, err = subject.Agent("dev", token, subject.To)
			refused(t, s, err, "subject.node")
			s, err = subject.AgentPattern(token, subject.To)
			refused(t, s, err, "subject.cell")
			s, err = subject.CellPattern(token, false)
			refused(t, s, err, "subject.cell")
			s, err = subject.RequestPattern("dev", "job", token, true, false)
			refused(t, s, err, "subject.verb")
			if token != "" {
				s, err = subject.Event{Cell: "dev", Queue: token}.Pattern()
				refused(t, s, err, "subject.queue")
			}
		})
	}
}

func refused(t *testing.T, s string, err error, field string) {
	t.Helper()
	var f *model.Fault
	if !errors.As(err, &f) || f.Err != model.ErrInvalid || s != "" {
		t.Fatalf("%s: built %q with %v, want no subject and the fault invalid", field, s, err)
	}
	if len(f.Fields) != 1 || f.Fields[0].GetField() != field || f.Fields[0].GetHint() == "" {
		t.Fatalf("fields %v, want one hint for %s", f.Fields, field)
	}
	if len(f.Error()) > 500 {
		t.Fatalf("refusal of %d bytes", len(f.Error()))
	}
}

func TestRequestsAreParsedAsTheyWereBuilt(t *testing.T) {
	for want, r := range map[string]subject.Request{
		"troupe.v1.dev.q.job.status.j1": {Cell: "dev", Queue: "q", Resource: "job", Verb: "status", ID: "j1"},
		"troupe.v1.dev._.cell.status":   {Cell: "dev", Queue: "_", Resource: "cell", Verb: "status"},
	} {
		s, err := r.Build()
		if err != nil || s != want {
			t.Fatalf("built %q (%v), want %q", s, err, want)
		}
		if got, err := subject.ParseRequest(s); err != nil || got != r {
			t.Fatalf("parsed %+v (%v), want %+v", got, err, r)
		}
	}
	for _, bad := range []string{
		"", "troupe", "troupe.v1", "troupe.v1.", "troupe.v1.dev.q.job", "troupe.v1.dev.q.job.status.a.b", "troupe.v2.dev.q.job.list",
		"troupe.v1.dev.q.job.status.", "troupe.v1.dev..job.status", "troupe.v1.dev.*.job.status", "troupe.v1.dev.q.job.>",
		"troupe.v1.dev.q.job.status.A", "troupe.v1.dev.q.job." + strings.Repeat("x", 4000),
	} {
		if r, err := subject.ParseRequest(bad); err == nil {
			t.Errorf("%q parsed as %+v", bad, r)
		}
	}
}

func TestPatterns(t *testing.T) {
	want := func(want string) func(string, error) {
		return func(got string, err error) {
			t.Helper()
			if err != nil || got != want {
				t.Errorf("got %q (%v), want %q", got, err, want)
			}
		}
	}
	want("troupe.v1.dev.*.job.status.*")(subject.RequestPattern("dev", "job", "status", true, false))
	want("troupe.v1.dev.*.job.list")(subject.RequestPattern("dev", "job", "list", false, false))
	want("troupe.v1.dev.>")(subject.CellPattern("dev", false))
	want("troupe.v1.dev.*.event.*.*")(subject.Event{Cell: "dev"}.Pattern())
	want("troupe.v1.dev.q.event.*.j")(subject.Event{Cell: "dev", Queue: "q", Job: "j"}.Pattern())
	want("troupe.v1.dev._.event.missed._")(subject.Event{Cell: "dev", Queue: "_", Kind: "missed", Job: "_"}.Build())
	want("troupe.agent.v1.dev.*.from")(subject.AgentPattern("dev", subject.From))
	want("troupe.agent.v1.dev.n1.to")(subject.Agent("dev", "n1", subject.To))
}

func TestAgentSubjects(t *testing.T) {
	cell, node, lane, err := subject.ParseAgent("troupe.agent.v1.dev.n1.beat")
	if err != nil || cell != "dev" || node != "n1" || lane != subject.Beat {
		t.Fatalf("got %s %s %s %v", cell, node, lane, err)
	}
	for _, bad := range []string{"troupe.agent.v1.dev.n1", "troupe.agent.v1.dev.N.to", "troupe.agent.v1..n.to", "x", "troupe.agent.v1.dev.n.to.x"} {
		if _, _, _, err := subject.ParseAgent(bad); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
}

func TestRepliesCannotBeLaunderedIntoTheCell(t *testing.T) {
	for s, want := range map[string]bool{
		"_INBOX.abc.def": true, "my.inbox.1": true, "tro": true, "trouper.x": true,
		"": false, "$JS.API.STREAM.DELETE.x": false, "troupe.v1.dev.q.event.ended.j": false, "troupe.agent.v1.dev.n.to": false,
		"troupe": false, "a.*": false, "a.>": false, "a b": false, strings.Repeat("a", 2000): false,
	} {
		if subject.SafeReply(s) != want {
			t.Errorf("%q: want %v", s, want)
		}
	}
}

func TestNamesAreThoseOfTheRule(t *testing.T) {
	rule := regexp.MustCompile(`\A[a-z0-9][a-z0-9_-]{0,62}\z`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9_.*>-]{0,70}`)).Draw(t, "s")
		if got, want := subject.ValidName(s), rule.MatchString(s); got != want {
			t.Fatalf("%q: %v, the rule says %v", s, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("troupe.v1.dev.q.job.status.j1")
	f.Add("troupe.agent.v1.dev.n1.beat")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := subject.ParseRequest(s); err == nil {
			if back, err := r.Build(); err != nil || back != s {
				t.Fatalf("%q came back as %q, %v", s, back, err)
			}
		}
		if cell, node, lane, err := subject.ParseAgent(s); err == nil {
			if back, err := subject.Agent(cell, node, lane); err != nil || back != s {
				t.Fatalf("%q came back as %q, %v", s, back, err)
			}
		}
	})
}
