package api

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// DefaultQueue is the queue of jobs that name none.
const DefaultQueue = "default"

// Scope says what stands at the place of the queue in a verb's subject.
type Scope uint8

// The scopes.
const (
	// InQueue: the name of a queue.
	InQueue Scope = iota
	// AnyQueue: the name of a queue, or "_" for all of them.
	AnyQueue
	// NoQueue: always "_".
	NoQueue
)

// Lane is a class of requests with a limit of its own, so that one class never keeps out another.
type Lane uint8

// The lanes.
const (
	Reads Lane = iota
	Writes
	Logs
	numLanes
)

// String names the lane in messages and metrics.
func (l Lane) String() string { return [...]string{"reads", "writes", "logs"}[l] }

// Endpoint is one verb of the API: how it is addressed, what goes in, what comes out.
type Endpoint struct {
	Resource, Verb string
	Summary        string
	Scope          Scope
	// QueueField and IDField are the fields of the request that the queue and id tokens of the subject stand for, such
	// as "job.queue"; empty if there is none. A verb has an id token if it has an IDField.
	QueueField, IDField string
	Lane                Lane
	// Request and Reply are empty messages of the types of both bodies.
	Request, Reply proto.Message
	// Stream says that the answer is many messages, the last of them empty.
	Stream bool
	// Stale says that every master may answer it from what it has, under the subject of StaleForm.
	Stale bool

	call   func(context.Context, Cell, proto.Message) (proto.Message, error)
	stream func(context.Context, *Service, *request, proto.Message, func(error) *model.Fault) error
}

// Endpoints is the whole API, in the order in which it is shown.
func Endpoints() []Endpoint {
	return []Endpoint{
		unary(Endpoint{Resource: "job", Verb: "submit", QueueField: "job.queue", Lane: Writes,
			Summary: "Make a job durable, once per key"}, Cell.Submit),
		unary(Endpoint{Resource: "job", Verb: "validate", QueueField: "queue", Lane: Reads,
			Summary: "Check a job and fill in its defaults; nothing is stored"}, Cell.Validate),
		unary(Endpoint{Resource: "job", Verb: "status", QueueField: "queue", IDField: "name", Lane: Reads, Stale: true,
			Summary: "Tell where a job stands"}, Cell.JobStatus),
		unary(Endpoint{Resource: "job", Verb: "list", Scope: AnyQueue, QueueField: "queue", Lane: Reads, Stale: true,
			Summary: "List the jobs of a queue, or of all"}, Cell.ListJobs),
		unary(Endpoint{Resource: "job", Verb: "stop", QueueField: "queue", IDField: "name", Lane: Writes,
			Summary: "Ask a job to end"}, Cell.StopJob),
		unary(Endpoint{Resource: "job", Verb: "explain", QueueField: "queue", IDField: "name", Lane: Reads,
			Summary: "Say why a job waits and what would help, or why it runs where it runs"}, Cell.Explain),
		unary(Endpoint{Resource: "job", Verb: "results", QueueField: "queue", IDField: "name", Lane: Reads, Stale: true,
			Summary: "Page through the results of one stage"}, Cell.Results),
		stream(Endpoint{Resource: "job", Verb: "logs", QueueField: "queue", IDField: "name", Lane: Logs,
			Summary: "Stream the output of one instance; ends with an empty message"}, Cell.Logs),
		unary(Endpoint{Resource: "job", Verb: "lookup", Scope: NoQueue, Lane: Reads,
			Summary: "Find the running instances of a name"}, Cell.Lookup),
		unary(Endpoint{Resource: "queue", Verb: "set", QueueField: "name", Lane: Writes,
			Summary: "Make a queue or change it: limits, quota, order, score"}, Cell.SetQueue),
		unary(Endpoint{Resource: "queue", Verb: "status", QueueField: "name", Lane: Reads, Stale: true,
			Summary: "Tell of one queue"}, Cell.QueueStatus),
		unary(Endpoint{Resource: "queue", Verb: "list", Scope: NoQueue, Lane: Reads, Stale: true,
			Summary: "Tell of all queues"}, Cell.ListQueues),
		unary(Endpoint{Resource: "queue", Verb: "remove", QueueField: "name", Lane: Writes,
			Summary: "Remove a queue without live jobs"}, Cell.RemoveQueue),
		unary(Endpoint{Resource: "queue", Verb: "ledger", Scope: AnyQueue, QueueField: "queue", Lane: Reads,
			Summary: "List what queues lent to each other"}, Cell.QueueLedger),
		unary(Endpoint{Resource: "node", Verb: "list", Scope: NoQueue, Lane: Reads, Stale: true,
			Summary: "Page through the nodes"}, Cell.ListNodes),
		unary(Endpoint{Resource: "node", Verb: "status", Scope: NoQueue, IDField: "id", Lane: Reads, Stale: true,
			Summary: "Tell of one node"}, Cell.NodeStatus),
		unary(Endpoint{Resource: "node", Verb: "drain", Scope: NoQueue, IDField: "id", Lane: Writes,
			Summary: "Keep new work off a node, for maintenance or for good, and move away what runs if asked to"}, drain(true)),
		unary(Endpoint{Resource: "node", Verb: "undrain", Scope: NoQueue, IDField: "id", Lane: Writes,
			Summary: "Let new work come to a node again"}, drain(false)),
		unary(Endpoint{Resource: "node", Verb: "taint", Scope: NoQueue, IDField: "id", Lane: Writes,
			Summary: "Replace the taints that operators have put on a node"}, Cell.TaintNode),
		unary(Endpoint{Resource: "node", Verb: "lost", Scope: NoQueue, Lane: Writes,
			Summary: "Say that a silent node is gone for good, or all that are silent now, and place their work elsewhere"}, Cell.LoseNode),
		unary(Endpoint{Resource: "cell", Verb: "status", Scope: NoQueue, Lane: Reads, Stale: true,
			Summary: "Tell of the cell as a whole"}, Cell.CellStatus),
		unary(Endpoint{Resource: "cell", Verb: "tree", Scope: NoQueue, Lane: Reads,
			Summary: "Print the live supervision tree"}, Cell.CellTree),
		stream(Endpoint{Resource: "cell", Verb: "backup", Scope: NoQueue, Lane: Logs,
			Summary: "Stream the hard state as backup frames; ends with an empty message"}, Cell.Backup),
		stream(Endpoint{Resource: "cell", Verb: "journal", Scope: NoQueue, Lane: Logs,
			Summary: "Stream records of the journal as backup frames, and those to come if asked to; ends with an empty message"}, Cell.Journal),
		unary(Endpoint{Resource: "master", Verb: "list", Scope: NoQueue, Lane: Reads, Stale: true,
			Summary: "List the masters of the cell: who leads, who follows and how closely"}, Cell.ListMasters),
		unary(Endpoint{Resource: "master", Verb: "resign", Scope: NoQueue, Lane: Writes,
			Summary: "Ask the leader to hand over to another master"}, Cell.Resign),
		unary(Endpoint{Resource: "drill", Verb: "start", Scope: NoQueue, Lane: Writes,
			Summary: "Let a part of the cell fail for a while, to see that nothing else does"}, Cell.Drill),
	}
}

// unary completes an endpoint whose answer is one message.
func unary[Q, R proto.Message](e Endpoint, call func(Cell, context.Context, Q) (R, error)) Endpoint {
	var request Q
	var reply R
	e.Request = request.ProtoReflect().Type().Zero().Interface()
	e.Reply = reply.ProtoReflect().Type().Zero().Interface()
	e.call = func(ctx context.Context, c Cell, m proto.Message) (proto.Message, error) { return call(c, ctx, m.(Q)) }
	return e
}

// stream completes an endpoint whose answer is a stream.
func stream[Q proto.Message, C wire.Chunk](e Endpoint, call func(Cell, context.Context, Q, func(C) error) error) Endpoint {
	var body Q
	var reply C
	e.Request = body.ProtoReflect().Type().Zero().Interface()
	e.Reply, e.Stream = reply, true
	e.stream = func(ctx context.Context, s *Service, r *request, m proto.Message, explain func(error) *model.Fault) error {
		run := func(ctx context.Context, send func(C) error) error { return call(s.cell, ctx, m.(Q), send) }
		return wire.Serve(ctx, s.streams, r.reply, r.header, run, explain)
	}
	return e
}

// drain makes the two verbs of one request: the verb decides, whatever the body says.
func drain(drained bool) func(Cell, context.Context, *v1.DrainRequest) (*v1.NodeStatus, error) {
	return func(c Cell, ctx context.Context, m *v1.DrainRequest) (*v1.NodeStatus, error) {
		return c.DrainNode(ctx, &v1.DrainRequest{
			Id: m.GetId(), Drained: drained, Reason: m.GetReason(),
			Maintenance: drained && m.GetMaintenance(), Evict: drained && m.GetEvict(), Force: m.GetForce(),
		})
	}
}

// Name is the endpoint's name in the service and in messages: "job-submit".
func (e Endpoint) Name() string { return e.Resource + "-" + e.Verb }

// Form is the subject as people write it: "troupe.v1.dev.<queue>.job.status.<name>".
func (e Endpoint) Form(cell string) string {
	queue := "<queue>"
	if e.Scope == NoQueue {
		queue = subject.NoQueue
	}
	s := strings.Join([]string{"troupe.v1", cell, queue, e.Resource, e.Verb}, ".")
	if e.IDField != "" {
		s += ".<" + e.IDField + ">"
	}
	return s
}

// StaleForm is Form for a read that may be stale.
func (e Endpoint) StaleForm(cell string) string {
	return replicaRoot + strings.TrimPrefix(e.Form(cell), leaderRoot)
}

// Address is where a request with this body goes.
func (e Endpoint) Address(cell string, m proto.Message) (subject.Request, error) {
	to := subject.Request{Cell: cell, Queue: subject.NoQueue, Resource: e.Resource, Verb: e.Verb}
	if e.QueueField != "" {
		queue := field(m, e.QueueField)
		if queue == "" && e.Resource == "job" && e.Scope == InQueue {
			queue = DefaultQueue
		}
		if wrong := subject.CheckName(e.QueueField, queue); wrong != nil && (queue != "" || e.Scope == InQueue) {
			return to, model.Invalid("no such queue", wrong)
		}
		if queue != "" {
			to.Queue = queue
		}
	}
	if e.IDField != "" {
		to.ID = field(m, e.IDField)
		if wrong := subject.CheckName(e.IDField, to.ID); wrong != nil {
			return to, model.Invalid("no such "+e.Resource, wrong)
		}
	}
	return to, nil
}

// place is the reverse of Address: it writes what the subject says into the body, which may repeat it but not
// contradict it.
func (e Endpoint) place(from subject.Request, m proto.Message) error {
	switch {
	case e.Scope == NoQueue && from.Queue != subject.NoQueue:
		return model.Invalid("wrong subject", &v1.FieldError{
			Field: "subject.queue", Problem: fmt.Sprintf("%s.%s belongs to no queue", e.Resource, e.Verb), Hint: e.Form(from.Cell),
		})
	case e.Scope == InQueue && from.Queue == subject.NoQueue:
		return model.Invalid("wrong subject", &v1.FieldError{
			Field: "subject.queue", Problem: fmt.Sprintf("%s.%s needs a queue", e.Resource, e.Verb), Hint: e.Form(from.Cell),
		})
	}
	var wrong []*v1.FieldError
	if e.QueueField != "" && from.Queue != subject.NoQueue {
		wrong = append(wrong, agree(m, e.QueueField, from.Queue)...)
	}
	if e.IDField != "" {
		wrong = append(wrong, agree(m, e.IDField, from.ID)...)
	}
	if len(wrong) > 0 {
		return model.Invalid("subject and body contradict each other", wrong...)
	}
	return nil
}

// agree sets the field to want unless it says something else.
func agree(m proto.Message, path, want string) []*v1.FieldError {
	holder, fd := resolve(m.ProtoReflect(), path, true)
	if got := holder.Get(fd).String(); got != "" && got != want {
		return []*v1.FieldError{{
			Field: path, Problem: fmt.Sprintf("is %.80q but the subject says %q", got, want),
			Hint: "leave it out, or say the same",
		}}
	}
	holder.Set(fd, protoreflect.ValueOfString(want))
	return nil
}

// field reads a string field.
func field(m proto.Message, path string) string {
	holder, fd := resolve(m.ProtoReflect(), path, false)
	return holder.Get(fd).String()
}

// resolve finds the message that holds the last field of path.
func resolve(m protoreflect.Message, path string, mutable bool) (protoreflect.Message, protoreflect.FieldDescriptor) {
	for {
		name, rest, more := strings.Cut(path, ".")
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if !more {
			return m, fd
		}
		if mutable {
			m = m.Mutable(fd).Message()
		} else {
			m = m.Get(fd).Message()
		}
		path = rest
	}
}
