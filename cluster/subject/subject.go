// Package subject builds and parses every NATS subject of the cell, in one place, so that no token reaches a subject
// unchecked. A token too many kills more than its request: an overlong subject makes the server close the connection
// for good, an empty token makes it drop the message in silence, and a wildcard in a name reaches strangers.
//
//	troupe.v1.<cell>.<queue>.<resource>.<verb>[.<id>]   requests; <queue> is "_" for verbs that belong to no queue
//	troupe.v1.<cell>.<queue>.event.<kind>.<job>         events
//	troupe.stale.v1.<cell>.<queue>.<resource>.<verb>…   reads that any master may answer, from what it has
//	troupe.agent.v1.<cell>.<node>.<lane>                the link between master and agents
//	troupe.master.v1.<cell>.<word>                      what masters say to each other
package subject

import (
	"strconv"
	"strings"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	apiRoot    = "troupe.v1"
	staleRoot  = "troupe.stale.v1"
	agentRoot  = "troupe.agent.v1"
	masterRoot = "troupe.master.v1"
	// NoQueue is the queue token of verbs and events that belong to no queue.
	NoQueue = "_"
	// NameMax is the longest name, in bytes.
	NameMax = 63
	// NameRule says what a name looks like, for hints.
	NameRule = "a name starts with a-z or 0-9, goes on with a-z, 0-9, '_' or '-', and has at most 63 characters"

	eventResource = "event"
)

// ValidName reports whether s is a name: ^[a-z0-9][a-z0-9_-]{0,62}$.
func ValidName(s string) bool {
	if s == "" || len(s) > NameMax {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case i > 0 && (c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// CheckName returns nil if s is a name, and what is wrong with the field otherwise.
func CheckName(field, s string) *v1.FieldError {
	if ValidName(s) {
		return nil
	}
	return &v1.FieldError{Field: field, Problem: quote(s) + " is not a name", Hint: NameRule}
}

// Request addresses one request: a verb on a resource of a queue.
type Request struct {
	Cell string
	// Queue is NoQueue for verbs that belong to none.
	Queue, Resource, Verb string
	// ID is what the verb is about; empty if the subject has no such token.
	ID string
	// Stale asks any master for what it has, and not the leader for what is.
	Stale bool
}

func (r Request) root() string {
	if r.Stale {
		return staleRoot
	}
	return apiRoot
}

// Build returns the subject, or a fault that names the token that is wrong.
func (r Request) Build() (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	s := r.root() + "." + r.Cell + "." + r.Queue + "." + r.Resource + "." + r.Verb
	if r.ID != "" {
		s += "." + r.ID
	}
	return s, nil
}

func (r Request) check() error {
	c := checker{}
	c.name("cell", r.Cell)
	c.queue(r.Queue)
	c.name("resource", r.Resource)
	c.name("verb", r.Verb)
	if r.ID != "" {
		c.name("id", r.ID)
	}
	return c.fault()
}

// ParseRequest is the reverse of Build.
func ParseRequest(s string) (Request, error) {
	stale := Request{Stale: strings.HasPrefix(s, staleRoot+".")}
	tokens, ok := split(s, stale.root(), 4, 5)
	if !ok {
		return Request{}, misshapen(s, stale.root()+".<cell>.<queue>.<resource>.<verb>[.<id>]")
	}
	r := Request{Stale: stale.Stale, Cell: tokens[0], Queue: tokens[1], Resource: tokens[2], Verb: tokens[3]}
	if len(tokens) == 5 {
		if r.ID = tokens[4]; r.ID == "" {
			return Request{}, misshapen(s, "no empty token")
		}
	}
	return r, r.check()
}

// RequestPattern is the wildcard subject of one verb over all queues (and ids) of a cell; stale as in Request.
func RequestPattern(cell, resource, verb string, hasID, stale bool) (string, error) {
	s, err := Request{Cell: cell, Queue: NoQueue, Resource: resource, Verb: verb, Stale: stale}.Build()
	if err != nil {
		return "", err
	}
	s = strings.Replace(s, "."+NoQueue+".", ".*.", 1)
	if hasID {
		s += ".*"
	}
	return s, nil
}

// CellPattern is the wildcard subject over everything that is asked of and told about a cell; stale as in Request.
func CellPattern(cell string, stale bool) (string, error) {
	c := checker{}
	c.name("cell", cell)
	return c.done(Request{Stale: stale}.root() + "." + cell + ".>")
}

// Event addresses one event of a job.
type Event struct {
	// Queue and Job are NoQueue for events about nodes, and about the cell's events themselves.
	Cell, Queue, Kind, Job string
}

// Build returns the subject, or a fault that names the token that is wrong.
func (e Event) Build() (string, error) {
	c := checker{}
	c.name("cell", e.Cell)
	c.queue(e.Queue)
	c.name("kind", e.Kind)
	if e.Job != NoQueue {
		c.name("job", e.Job)
	}
	return c.done(e.join())
}

// Pattern is the wildcard subject of events: an empty queue, kind or job stands for all.
func (e Event) Pattern() (string, error) {
	c := checker{}
	c.name("cell", e.Cell)
	for _, t := range []struct {
		field string
		token *string
	}{{"queue", &e.Queue}, {"kind", &e.Kind}, {"job", &e.Job}} {
		if *t.token == "" {
			*t.token = "*"
		} else if *t.token != NoQueue {
			c.name(t.field, *t.token)
		}
	}
	return c.done(e.join())
}

func (e Event) join() string {
	return apiRoot + "." + e.Cell + "." + e.Queue + "." + eventResource + "." + e.Kind + "." + e.Job
}

// Lane is one direction and class of traffic between master and agents. Each has subjects of its own, so that each can
// have a connection of its own.
type Lane string

// The lanes of the agent link.
const (
	// To carries the session's items to the agent, From those from it.
	To   Lane = "to"
	From Lane = "from"
	// Ping and Beat carry signs of life, which commute with everything else, to the agent and from it.
	Ping Lane = "ping"
	Beat Lane = "beat"
	// Logs carries requests for captured output to the agent.
	Logs Lane = "logs"
)

// Agent is the subject of one lane of one node.
func Agent(cell, node string, lane Lane) (string, error) {
	c := checker{}
	c.name("cell", cell)
	c.name("node", node)
	return c.done(agentRoot + "." + cell + "." + node + "." + string(lane))
}

// AgentPattern is the wildcard subject of one lane over all nodes.
func AgentPattern(cell string, lane Lane) (string, error) {
	c := checker{}
	c.name("cell", cell)
	return c.done(agentRoot + "." + cell + ".*." + string(lane))
}

// ParseAgent returns the node that a subject of the agent link belongs to.
func ParseAgent(s string) (cell, node string, lane Lane, err error) {
	tokens, ok := split(s, agentRoot, 3, 3)
	if !ok {
		return "", "", "", misshapen(s, agentRoot+".<cell>.<node>.<lane>")
	}
	c := checker{}
	c.name("cell", tokens[0])
	c.name("node", tokens[1])
	return tokens[0], tokens[1], Lane(tokens[2]), c.fault()
}

// Beats is the subject of the signs of life that masters of a cell give each other.
func Beats(cell string) (string, error) {
	c := checker{}
	c.name("cell", cell)
	return c.done(masterRoot + "." + cell + ".beat")
}

// SafeReply reports whether an answer may be sent to the reply subject s. A requester chooses that subject, and the
// answer goes out with the cell's own rights: it must not reach the cell's subjects or those of the server.
func SafeReply(s string) bool {
	return s != "" && len(s) <= replyMax && s[0] != '$' && s != "troupe" && !strings.HasPrefix(s, "troupe.") &&
		!strings.ContainsAny(s, "*> \t\r\n")
}

// replyMax bounds reply subjects: servers refuse control lines of more than 4,096 bytes by closing the connection.
const replyMax = 1024

// split cuts s after root into min to max tokens.
func split(s, root string, least, most int) ([]string, bool) {
	rest, ok := strings.CutPrefix(s, root+".")
	if !ok {
		return nil, false
	}
	if n := strings.Count(rest, ".") + 1; n < least || n > most {
		return nil, false
	}
	return strings.Split(rest, "."), true
}

func misshapen(s, want string) error {
	return model.Invalid("wrong subject", &v1.FieldError{
		Field: "subject", Problem: quote(s) + " is not such a subject", Hint: want,
	})
}

// checker gathers what is wrong with the tokens of one subject.
type checker struct{ fields []*v1.FieldError }

func (c *checker) name(field, s string) {
	if e := CheckName("subject."+field, s); e != nil {
		c.fields = append(c.fields, e)
	}
}

func (c *checker) queue(s string) {
	if s != NoQueue {
		c.name("queue", s)
	}
}

// done returns the subject only if nothing is wrong with it.
func (c *checker) done(subject string) (string, error) {
	if err := c.fault(); err != nil {
		return "", err
	}
	return subject, nil
}

func (c *checker) fault() error {
	if len(c.fields) == 0 {
		return nil
	}
	return model.Invalid("wrong subject", c.fields...)
}

// quote shows a foreign string safely and shortly.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
