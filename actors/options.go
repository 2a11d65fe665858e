package actors

import (
	"context"
	"errors"
	"log/slog"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/place"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Options of a cell. The zero value is a cell in memory without an agent.
type Options struct {
	// Name of the cell; "local" if empty.
	Name string
	// Dir keeps the journal and snapshots, in badger; empty means that nothing outlives the cell.
	Dir string
	// Quota is the most bytes that journal and snapshots in Dir may take on disk; 0 for as many as there are. What would be
	// written beyond it waits until there is room, and the cell is read-only for so long.
	Quota int64
	// Journal opens other stores than those in Dir. It is called again after a failure of the log.
	Journal func(ctx context.Context) (Stores, error)
	// Election says when this master leads, in a cell of several over one journal; nil means that it leads at once and
	// alone.
	Election Election
	// Agents is opened when a reign begins, Serve when this master may answer requests; both are closed when it ends.
	Agents, Serve Hook
	// Fabric carries messages to agents outside this process; hand what they send to Cell.Deliver.
	Fabric Fabric
	// Agent runs an agent in this process; nil means none.
	Agent *AgentOptions
	// Events is called with every job event once it is durable; it must not block.
	Events func(*v1.JobEvent)
	// Record makes what hears the placer of each reign, such as a decisions.Recorder; nil if its decisions are not recorded.
	// env is filled before the placer's first message, tell sends the placer a message.
	Record func(env *msg.Env, tell func(message any)) kit.Tap
	// Guests are actors of the program, supervised with the rest.
	Guests []kit.Spec
	// Filters and Scores of the program, beyond the built-in ones, in the order in which they are asked. The names of
	// scores begin with model.ExtraScore; stages and queues use them by name.
	Filters []place.Filter
	Scores  []place.Score
	// Limits of the master; the zero value means msg.DefaultLimits.
	Limits msg.Limits
	// Memory reads how many bytes the process uses, for Limits.MemoryBytes; nil means what the Go runtime holds apart
	// from garbage.
	Memory func() int64
	// Dumps is the directory for what is kept for post-mortem when memory runs out or the master fails, three dumps at
	// most; if empty, "dumps" in Dir, and nothing is kept without a Dir.
	Dumps string
	// SnapshotRecords is how many records are appended between snapshots; 0 means the default.
	SnapshotRecords uint64
	// ID is this master's name among those of the cell, Host if it is empty. Host names it in the journal and in logs.
	ID, Host string
	// Version is shown by cell status.
	Version string
	Log     *slog.Logger
	// Clock is the time as the actors see it; nil means the machine's.
	Clock kit.Clock
}

// Stores are where a master keeps its hard state.
type Stores struct {
	Log       journal.Log
	Snapshots journal.Snapshots
	// Shared are snapshots that all masters of the cell share; nil in a cell of one.
	Shared journal.Snapshots
	// Close closes what is under both, after both; nil if there is nothing.
	Close func() error
}

// Shut closes the stores and what is under them.
func (s Stores) Shut() error {
	err := errors.Join(s.Log.Close(), s.Snapshots.Close())
	if s.Shared != nil {
		err = errors.Join(err, s.Shared.Close())
	}
	if s.Close != nil {
		err = errors.Join(err, s.Close())
	}
	return err
}

// Fabric reaches agents outside this process.
type Fabric interface {
	// Send hands a message to an agent and returns at once; it may be lost.
	Send(m *v1.ToAgent)
	// Logs streams the output of one attempt from the agent that has it. It fails with a *model.Fault of ErrNotFound
	// if that agent does not have it.
	Logs(ctx context.Context, place *v1.LogPlace, req *v1.LogsRequest, fn func(*v1.LogChunk) error) error
}
