package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const leaderRoot, replicaRoot = "troupe.v1", "troupe.stale.v1"

// unknown answers what no endpoint does: a slip in a subject gets a refusal that says what was meant, not silence. It
// sees every message under the cell's subject, so it turns away first what is not its business.
func (s *Service) unknown(m *nats.Msg) {
	if m.Reply == "" || s.answered(m.Subject) {
		return
	}
	s.nobody.counts.requests.Add(1)
	a := &answer{s: s, e: &s.nobody, r: &request{subject: m.Subject, reply: m.Reply, header: m.Header, body: m.Data}}
	if !subject.SafeReply(m.Reply) {
		s.nobody.counts.mute.Add(1)
		return
	}
	// A wrong content type is the smaller mistake here; the answer is in JSON then.
	a.form, _ = wire.FormOf(m.Header)
	a.refuse(s.misdirected(m.Subject))
}

// answered reports whether an endpoint's pattern matches the subject, so that it answers, if only with a refusal.
func (s *Service) answered(sub string) bool {
	tokens := s.tokens(sub)
	if len(tokens) < 6 {
		return false
	}
	e := s.table[tokens[4]+"."+tokens[5]]
	return e != nil && len(tokens) == 6+ids(e)
}

// tokens are those of a subject, as if it were the leader's.
func (s *Service) tokens(sub string) []string {
	return strings.Split(strings.Replace(sub, s.root(), leaderRoot, 1), ".")
}

// root is what the subjects of this service begin with, form how one is written.
func (s *Service) root() string {
	if s.replica != nil {
		return replicaRoot
	}
	return leaderRoot
}

func (s *Service) form(e Endpoint) string {
	if s.replica != nil {
		return e.StaleForm(s.name)
	}
	return e.Form(s.name)
}

func ids(e *served) int {
	if e.IDField == "" {
		return 0
	}
	return 1
}

// misdirected says what is wrong with a subject that no endpoint takes.
func (s *Service) misdirected(sub string) *model.Fault {
	tokens := s.tokens(sub)
	if len(tokens) < 6 {
		return s.nothing(sub, "too few words", "the form is "+s.root()+"."+s.name+".<queue>.<resource>.<verb>[.<id>]")
	}
	resource, verb := tokens[4], tokens[5]
	if e := s.table[resource+"."+verb]; e != nil {
		f := model.Invalid("wrong subject", &v1.FieldError{
			Field: "subject", Problem: fmt.Sprintf("%s.%s has a wrong number of words", resource, verb), Hint: s.form(e.Endpoint),
		})
		return f
	}
	var resources, verbs []string
	for _, e := range s.table {
		resources = append(resources, e.Resource)
		if e.Resource == resource {
			verbs = append(verbs, e.Verb)
		}
	}
	if verbs == nil {
		slices.Sort(resources)
		return s.nothing(sub, fmt.Sprintf("there is no resource %.40q", resource), meant(resource, slices.Compact(resources), ""))
	}
	slices.Sort(verbs)
	hint := meant(verb, verbs, "")
	if near := wire.Nearest(verb, verbs); near != "" {
		hint = meant(verb, verbs, ": "+s.form(s.table[resource+"."+near].Endpoint))
	}
	return s.nothing(sub, fmt.Sprintf("%s has no verb %.40q", resource, verb), hint)
}

// meant suggests the nearest word, or all of them.
func meant(word string, words []string, more string) string {
	if near := wire.Nearest(word, words); near != "" {
		return fmt.Sprintf("did you mean %q%s?", near, more)
	}
	return "there is " + strings.Join(words, ", ")
}

func (s *Service) nothing(sub, problem, hint string) *model.Fault {
	f := model.NotFound("nothing answers on this subject: %s", problem)
	f.Fields = []*v1.FieldError{{Field: "subject", Problem: fmt.Sprintf("%.160q is unknown", sub), Hint: hint}}
	return f
}
