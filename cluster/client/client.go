package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/subject"
	"github.com/troupe-sched/troupe/cluster/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Config says how a cell is reached. Zero durations mean the defaults.
type Config struct {
	Conn *nats.Conn
	// Cell is the cell's name.
	Cell string
	// Try bounds one attempt, 5 s by default; the first ones have less, because a leader that is killed takes with it what
	// it was asked. Wait bounds a whole call whose context has no deadline, 15 s by default.
	Try, Wait time.Duration
	// Backoff and BackoffMax are the first and the longest pause between attempts, 50 ms and 500 ms by default: that nobody
	// leads costs NATS little to say, and is over in a second or two.
	Backoff, BackoffMax time.Duration
	// Stale, if it is set, has every read that may be stale answered by any master from what that has, also while nobody
	// leads; it is called with what is known of the age of each such answer.
	Stale func(model.Mark)
}

// Client asks a cell over NATS. It is safe for concurrent use.
type Client struct {
	Config
	table map[string]api.Endpoint
	own   bool
}

var _ api.Cell = (*Client)(nil)

// New makes a client over a connection that stays the caller's. It should have been opened with wire.ConnOptions.
func New(c Config) (*Client, error) {
	if wrong := subject.CheckName("cell", c.Cell); wrong != nil {
		return nil, model.Invalid("wrong cell name", wrong)
	}
	for _, d := range []struct {
		field    *time.Duration
		standard time.Duration
	}{{&c.Try, 5 * time.Second}, {&c.Wait, 15 * time.Second}, {&c.Backoff, 50 * time.Millisecond}, {&c.BackoffMax, 500 * time.Millisecond}} {
		if *d.field <= 0 {
			*d.field = d.standard
		}
	}
	cl := &Client{Config: c, table: map[string]api.Endpoint{}}
	for _, e := range api.Endpoints() {
		cl.table[e.Name()] = e
	}
	return cl, nil
}

// Dial connects to the NATS servers at url and makes a client whose Close ends the connection. options come on top of
// those of the cell, such as nats.UserCredentials.
func Dial(url, cell string, log *slog.Logger, options ...nats.Option) (*Client, error) {
	if wrong := subject.CheckName("cell", cell); wrong != nil {
		return nil, model.Invalid("wrong cell name", wrong)
	}
	nc, err := nats.Connect(url, append(wire.ConnOptions("troupe client", log), options...)...)
	if err != nil {
		return nil, model.Unavailable("cannot reach NATS at %s: %v", redacted(url), err)
	}
	c, err := New(Config{Conn: nc, Cell: cell})
	if err != nil {
		nc.Close()
		return nil, err
	}
	c.own = true
	return c, nil
}

// Close ends the connection if the client made it.
func (c *Client) Close() {
	if c.own {
		c.Conn.Close()
	}
}

// Submit makes a job durable. Without a key one is drawn, so that attempts of this call never make two jobs.
func (c *Client) Submit(ctx context.Context, req *v1.SubmitRequest) (*v1.SubmitReply, error) {
	if req.GetKey() == "" {
		req = proto.CloneOf(req) // what was handed over is frozen
		req.Key = rand.Text()
	}
	return call[*v1.SubmitReply](ctx, c, "job-submit", req)
}

// Validate checks a job and fills in its defaults.
func (c *Client) Validate(ctx context.Context, job *v1.JobSpec) (*v1.ValidateReply, error) {
	return call[*v1.ValidateReply](ctx, c, "job-validate", job)
}

// JobStatus tells where a job stands.
func (c *Client) JobStatus(ctx context.Context, ref *v1.JobRef) (*v1.JobStatus, error) {
	return call[*v1.JobStatus](ctx, c, "job-status", ref)
}

// ListJobs pages through jobs.
func (c *Client) ListJobs(ctx context.Context, req *v1.ListJobsRequest) (*v1.ListJobsReply, error) {
	return call[*v1.ListJobsReply](ctx, c, "job-list", req)
}

// StopJob asks a job to end. Without a uid it first asks which job has the name, so that attempts of this call never stop
// another one that gets the name meanwhile.
func (c *Client) StopJob(ctx context.Context, req *v1.StopRequest) (*v1.StopReply, error) {
	if req.GetUid() == 0 {
		job, err := c.JobStatus(ctx, &v1.JobRef{Queue: req.GetQueue(), Name: req.GetName()})
		if err != nil {
			return nil, err
		}
		req = proto.CloneOf(req) // what was handed over is frozen
		req.Uid = job.GetUid()
	}
	return call[*v1.StopReply](ctx, c, "job-stop", req)
}

// Explain says why a job waits.
func (c *Client) Explain(ctx context.Context, req *v1.ExplainRequest) (*v1.ExplainReply, error) {
	return call[*v1.ExplainReply](ctx, c, "job-explain", req)
}

// Results pages through results.
func (c *Client) Results(ctx context.Context, req *v1.ResultsRequest) (*v1.ResultsReply, error) {
	return call[*v1.ResultsReply](ctx, c, "job-results", req)
}

// Lookup finds the running instances of a name.
func (c *Client) Lookup(ctx context.Context, req *v1.LookupRequest) (*v1.LookupReply, error) {
	return call[*v1.LookupReply](ctx, c, "job-lookup", req)
}

// SetQueue makes a queue or changes it.
func (c *Client) SetQueue(ctx context.Context, spec *v1.QueueSpec) (*v1.QueueStatus, error) {
	return call[*v1.QueueStatus](ctx, c, "queue-set", spec)
}

// QueueStatus tells of one queue.
func (c *Client) QueueStatus(ctx context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error) {
	return call[*v1.QueueStatus](ctx, c, "queue-status", ref)
}

// ListQueues tells of all queues.
func (c *Client) ListQueues(ctx context.Context, req *v1.ListQueuesRequest) (*v1.ListQueuesReply, error) {
	return call[*v1.ListQueuesReply](ctx, c, "queue-list", req)
}

// RemoveQueue removes a queue without live jobs.
func (c *Client) RemoveQueue(ctx context.Context, ref *v1.QueueRef) (*v1.QueueStatus, error) {
	return call[*v1.QueueStatus](ctx, c, "queue-remove", ref)
}

// QueueLedger tells which queue lent what to which.
func (c *Client) QueueLedger(ctx context.Context, req *v1.LedgerRequest) (*v1.LedgerReply, error) {
	return call[*v1.LedgerReply](ctx, c, "queue-ledger", req)
}

// ListNodes pages through the nodes.
func (c *Client) ListNodes(ctx context.Context, req *v1.ListNodesRequest) (*v1.ListNodesReply, error) {
	return call[*v1.ListNodesReply](ctx, c, "node-list", req)
}

// NodeStatus tells of one node.
func (c *Client) NodeStatus(ctx context.Context, ref *v1.NodeRef) (*v1.NodeStatus, error) {
	return call[*v1.NodeStatus](ctx, c, "node-status", ref)
}

// DrainNode keeps new work off a node, or lets it come again.
func (c *Client) DrainNode(ctx context.Context, req *v1.DrainRequest) (*v1.NodeStatus, error) {
	if req.GetDrained() {
		return call[*v1.NodeStatus](ctx, c, "node-drain", req)
	}
	return call[*v1.NodeStatus](ctx, c, "node-undrain", req)
}

// TaintNode replaces the taints that operators have put on a node.
func (c *Client) TaintNode(ctx context.Context, req *v1.TaintRequest) (*v1.NodeStatus, error) {
	return call[*v1.NodeStatus](ctx, c, "node-taint", req)
}

// LoseNode says that a silent node is gone for good, or all that are silent now.
func (c *Client) LoseNode(ctx context.Context, req *v1.LostRequest) (*v1.LostReply, error) {
	return call[*v1.LostReply](ctx, c, "node-lost", req)
}

// CellStatus tells of the cell as a whole.
func (c *Client) CellStatus(ctx context.Context, req *v1.CellStatusRequest) (*v1.CellStatus, error) {
	return call[*v1.CellStatus](ctx, c, "cell-status", req)
}

// CellTree prints the supervision tree.
func (c *Client) CellTree(ctx context.Context, req *v1.CellTreeRequest) (*v1.CellTree, error) {
	return call[*v1.CellTree](ctx, c, "cell-tree", req)
}

// ListMasters tells of the masters of the cell.
func (c *Client) ListMasters(ctx context.Context, req *v1.ListMastersRequest) (*v1.ListMastersReply, error) {
	return call[*v1.ListMastersReply](ctx, c, "master-list", req)
}

// Resign asks the leader to hand over. Name its epoch, or an answer that is lost may cost its successor the lead, too.
func (c *Client) Resign(ctx context.Context, req *v1.ResignRequest) (*v1.ResignReply, error) {
	return call[*v1.ResignReply](ctx, c, "master-resign", req)
}

// Drill makes a part of the cell fail for a while.
func (c *Client) Drill(ctx context.Context, req *v1.DrillRequest) (*v1.DrillReply, error) {
	return call[*v1.DrillReply](ctx, c, "drill-start", req)
}

// window is how many messages of a stream, each of 64 KiB at most, may be under way.
const window = 32

// Logs calls fn with the output of one instance. It is begun again until the first chunk came; after that a break ends
// it with a fault, because going on could repeat output or lose some.
func (c *Client) Logs(ctx context.Context, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error {
	return receive(ctx, c, "job-logs", req, fn)
}

// Backup calls fn with the hard state of the cell, in pieces of a file. It is begun again until the first piece came.
func (c *Client) Backup(ctx context.Context, req *v1.BackupRequest, fn func(*v1.Chunk) error) error {
	return receive(ctx, c, "cell-backup", req, fn)
}

// Journal calls fn with records of the journal, in pieces of backup frames. It is begun again until the first piece came.
func (c *Client) Journal(ctx context.Context, req *v1.JournalRequest, fn func(*v1.Chunk) error) error {
	return receive(ctx, c, "cell-journal", req, fn)
}

// receive asks for a stream, again until its first chunk has come.
func receive[C wire.Chunk](ctx context.Context, c *Client, name string, req proto.Message, fn func(C) error) error {
	e := c.table[name]
	to, err := c.address(e, req)
	if err != nil {
		return err
	}
	return c.persist(ctx, e, func(context.Context) error {
		begun := false
		var own error
		// The stream has the caller's time, not that of the attempts to begin it.
		err := wire.Receive(ctx, c.Conn, to, req, window, func(chunk C) error {
			begun = true
			own = fn(chunk)
			return own
		})
		switch {
		case own != nil:
			return final{own}
		case err != nil && begun && ctx.Err() == nil:
			return final{c.explain(e, err, 1)}
		}
		return err
	})
}

// call asks one verb until it is answered, refused for good or ctx ends.
func call[R proto.Message](ctx context.Context, c *Client, name string, req proto.Message) (R, error) {
	var none, reply R
	e := c.table[name]
	to, err := c.address(e, req)
	if err != nil {
		return none, err
	}
	body, err := wire.Protobuf.Marshal(req)
	if err != nil {
		return none, model.Invalid(fmt.Sprintf("the request cannot be encoded: %v", err))
	}
	if len(body) > wire.BodyMax {
		return none, model.TooLarge("the request has %d bytes, more than the %d allowed", len(body), wire.BodyMax)
	}
	tries := 0
	err = c.persist(ctx, e, func(ctx context.Context) error {
		m, err := c.try(ctx, to, body, min(c.Try, tryFirst<<max(0, min(tries-1, 8))))
		tries++
		if err != nil {
			return err
		}
		if mark, ok := wire.MarkIn(m.Header); ok && c.stale(e) {
			c.Stale(mark)
		}
		reply = none.ProtoReflect().New().Interface().(R)
		form, err := wire.FormOf(m.Header)
		if err == nil {
			err = form.Read(m.Data, reply)
		}
		if err != nil {
			return model.Internal("cell %s answered %s.%s with something else: %v", c.Cell, e.Resource, e.Verb, err)
		}
		return nil
	})
	if err != nil {
		return none, err
	}
	return reply, nil
}

func (c *Client) address(e api.Endpoint, req proto.Message) (string, error) {
	to, err := e.Address(c.Cell, req)
	if err != nil {
		return "", err
	}
	to.Stale = c.stale(e)
	return to.Build()
}

// stale reports whether any master may answer.
func (c *Client) stale(e api.Endpoint) bool { return c.Stale != nil && e.Stale }

// tryFirst bounds the first two attempts, if Config.Try is not less; each further one has twice as long. The second may
// still go to a leader that sleeps, with no other there yet.
const tryFirst = time.Second

// try asks once, for at most so long.
func (c *Client) try(ctx context.Context, to string, body []byte, most time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, most, errLate)
	defer cancel()
	m := wire.Protobuf.Message(to, body)
	if deadline, ok := ctx.Deadline(); ok {
		m.Header.Set(wire.HeaderTimeout, fmt.Sprint(max(1, time.Until(deadline).Milliseconds())))
	}
	answer, err := c.Conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		return nil, err
	}
	if f := wire.FaultIn(answer); f != nil {
		return nil, f
	}
	return answer, nil
}

// errLate: one attempt was not answered in its time, but the call may have more.
var errLate = errors.New("no answer in time")
