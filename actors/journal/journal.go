package journal

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Snapshotter is where snapshots go; a Keeper, or the simulated one.
type Snapshotter interface {
	// Save stores a snapshot and calls done later; false if it cannot take one now.
	Save(seq uint64, entries [][]byte, done func(error)) bool
	// Newest is the sequence of the newest snapshot.
	Newest() uint64
}

// Config of the journal's actor.
type Config struct {
	Env *msg.Env
	// State as Recover and Begin left it; it belongs to the actor from now on.
	State *model.State
	Log   Log
	Snap  Snapshotter
	// Publish is called with every job event once it is durable; it must not block.
	Publish func(*v1.JobEvent)
	// SnapshotRecords and SnapshotBytes say how much may be appended between two snapshots; 0 means the default.
	SnapshotRecords uint64
	SnapshotBytes   int64
}

const (
	// recordBytesMax bounds one record: a JetStream message holds 1 MiB.
	recordBytesMax = 512 << 10
	// pipeline is how many appends may be under way. More than two batch worse and are no faster.
	pipeline = 2
	// pipelineBytes is how much must wait before a second append starts beside the first.
	pipelineBytes          = 64 << 10
	defaultSnapshotRecords = 20_000
	// firstSnapshot is after how many records there is a first snapshot: from then on a log that has vanished, as that of
	// a server that has lost its disk, is not taken for that of a new cell.
	firstSnapshot        = 100
	defaultSnapshotBytes = 64 << 20
	subscribersMax       = 1024
	// endedBytesMax bounds the results that ended jobs keep.
	endedBytesMax = 256 << 20
)

// Actor is the journal.
type Actor struct {
	cfg     Config
	state   *model.State // with everything staged
	wait    []batch      // records in the making, oldest first; the last one takes what comes
	sent    []batch      // appends under way, oldest first
	bytes   int64        // in wait and sent
	level   int64        // eighth of the limit that the gateway was last told
	tell    func(any)
	ended   []ended // ended jobs, oldest first
	endedBy int64   // their result bytes
	subs    []kit.Ref

	snapSeq      uint64 // record of the last snapshot taken
	sinceRecords uint64
	sinceBytes   int64
	held         *snapshot // taken, to be saved when its record is durable

	proof time.Time // when the newest append was sent that has succeeded
	full  string    // why the log takes nothing now; empty if it does
	out   int       // appends of sent that the log has not answered
}

// batch is one record in the making and what leaves when it is durable.
type batch struct {
	seq    uint64
	events []*v1.Event
	bytes  int64
	data   []byte // the record, once it is made
	// force: it is appended although it has no events, because that it can be is an answer.
	force bool
	// then leaves when it is durable. late came when it was under way already: it leaves then, too, if that is soon.
	then, late []msg.Send
	at         time.Time // when it was handed to the log
}

type snapshot struct {
	seq     uint64
	entries [][]byte
}

type ended struct {
	uid   model.UID
	id    model.JobID
	key   string
	bytes int64
}

// appended says how the append of one record went.
type appended struct {
	seq uint64
	err error
}

func (*appended) Lane() kit.Lane { return kit.Control }

// saved says how saving a snapshot went.
type saved struct {
	seq uint64
	err error
}

func (*saved) Lane() kit.Lane { return kit.Control }

// New makes the actor.
func New(cfg Config) *Actor {
	if cfg.SnapshotRecords == 0 {
		cfg.SnapshotRecords = defaultSnapshotRecords
	}
	if cfg.SnapshotBytes == 0 {
		cfg.SnapshotBytes = defaultSnapshotBytes
	}
	return &Actor{cfg: cfg, state: cfg.State}
}

// Receive implements kit.Behavior.
func (a *Actor) Receive(ctx *kit.Context, message any) {
	switch m := message.(type) {
	case kit.Started:
		a.begin(ctx, m)
	case *msg.Commit:
		a.commit(ctx, m)
	case *appended:
		a.appended(ctx, m)
	case again:
		a.again(ctx)
	case *saved:
		a.saved(ctx, m)
	case *msg.ReadJob, *msg.ReadQueue, *msg.ReadNode, *msg.ReadCell:
		a.read(ctx, m)
		a.flush(ctx)
	case *msg.ReadHard:
		a.readHard(ctx, m)
	case *msg.CellFacts:
		a.facts(ctx, m)
	case *msg.Subscribe:
		if len(a.subs) < subscribersMax {
			a.subs = append(a.subs, m.Ref)
		} else {
			ctx.Log().Warn("subscription refused", "limit", subscribersMax)
		}
	case *msg.Unsubscribe:
		for i, ref := range a.subs {
			if ref.Id == m.Ref.Id {
				a.subs = append(a.subs[:i:i], a.subs[i+1:]...)
				break
			}
		}
	}
}

func (a *Actor) begin(ctx *kit.Context, m kit.Started) {
	if m.Incarnation > 1 {
		// Its state may be ahead of the log. The tree that spawned it must go, too.
		panic("journal: cannot be restarted alone")
	}
	a.tell = ctx.Teller()

	a.snapSeq = a.cfg.Snap.Newest()
	a.sinceRecords = a.state.Seq() - min(a.snapSeq, a.state.Seq())
	for _, job := range a.state.Jobs() {
		if job.Ended() {
			a.noteEnded(job)
		}
	}
}

// commit stages events and sends the record off, or lets it wait for the one under way.
func (a *Actor) commit(ctx *kit.Context, c *msg.Commit) {
	if len(c.Events) > 0 {
		a.open(c.Events)
	}
	for i, ev := range c.Events {
		if err := a.state.Stage(ev); err != nil {
			if i > 0 {
				panic(fmt.Errorf("journal: event %d of a commit: %w", i, err))
			}
			ctx.Log().Error("commit refused", "reason", err, "from", kit.NameOf(ctx.Sender()))
			ctx.Reply(&msg.CommitRefused{Commit: c, Reason: err})
			if n := len(a.wait); len(a.wait[n-1].events) == 0 && !a.wait[n-1].force {
				a.wait = a.wait[:n-1] // opened for nothing
			}
			return
		}
		a.take(ev)
	}
	for i := range c.Then {
		if c.Then[i].From == nil {
			c.Then[i].From = ctx.Sender()
		}
	}
	a.after(ctx, c.Then...)
	a.flush(ctx)
}

// open makes sure that the last batch in the making has room for events.
func (a *Actor) open(events []*v1.Event) {
	size := int64(0)
	for _, ev := range events {
		size += int64(proto.Size(ev))
	}
	if n := len(a.wait); n == 0 || (len(a.wait[n-1].events) > 0 && a.wait[n-1].bytes+size > recordBytesMax) {
		a.wait = append(a.wait, batch{})
	}
}

// take adds a staged event to the batch; an ended job may push the oldest one out.
func (a *Actor) take(ev *v1.Event) {
	size := int64(proto.Size(ev)) + 8
	last := &a.wait[len(a.wait)-1]
	last.events = append(last.events, ev)
	last.bytes += size
	a.bytes += size
	if gone := ev.GetQueueRemoved(); gone != nil {
		a.dropEnded(gone.GetQueue())
	}
	end := ev.GetJobEnded()
	if end == nil {
		return
	}
	a.noteEnded(a.state.Job(model.UID(end.GetUid())))
	for len(a.ended) > a.cfg.Env.EndedJobs || (a.endedBy > endedBytesMax && len(a.ended) > 1) {
		old := a.ended[0]
		a.ended = a.ended[1:]
		a.endedBy -= old.bytes
		forget := &v1.Event{Kind: &v1.Event_JobForgotten{JobForgotten: &v1.JobForgotten{Queue: old.id.Queue, Name: old.id.Name, Uid: uint64(old.uid)}}}
		if err := a.state.Stage(forget); err != nil {
			panic(fmt.Errorf("journal: forget %s: %w", old.id, err))
		}
		last.then = append(last.then, msg.Send{To: a.cfg.Env.Refs.Queues, Message: &msg.JobForgotten{ID: old.id, UID: old.uid, Key: old.key}})
		a.take(forget)
	}
}

// dropEnded forgets the ended jobs that went with their queue.
func (a *Actor) dropEnded(queue string) {
	a.ended = slices.DeleteFunc(a.ended, func(e ended) bool {
		if e.id.Queue == queue {
			a.endedBy -= e.bytes
		}
		return e.id.Queue == queue
	})
}

func (a *Actor) noteEnded(job *model.JobState) {
	bytes := int64(0)
	for i := range job.Stages() {
		bytes += int64(job.Counts(i).ResultBytes)
	}
	a.ended = append(a.ended, ended{job.UID, job.ID, job.Key, bytes})
	a.endedBy += bytes
}

// maybeSnapshot takes a snapshot when enough was appended: now, while the state is just what the records hold.
func (a *Actor) maybeSnapshot() {
	if a.held != nil || (a.sinceRecords < snapshotAfter(a.snapSeq, a.cfg.SnapshotRecords) && a.sinceBytes < a.cfg.SnapshotBytes) {
		return
	}
	a.held = &snapshot{a.state.Seq(), a.state.Entries()}
	a.sinceRecords, a.sinceBytes = 0, 0
	if plant.Is(plant.SnapshotAhead) {
		a.cfg.Snap.Save(a.held.seq, a.held.entries, func(error) {})
	}
}

// snapshotAfter is how many records after the newest snapshot the next is due.
func snapshotAfter(newest, every uint64) uint64 {
	if newest == 0 {
		return min(every, firstSnapshot)
	}
	return every
}

func (a *Actor) save(ctx *kit.Context) {
	s, tell := a.held, a.tell
	a.held = nil
	if !a.cfg.Snap.Save(s.seq, s.entries, func(err error) { tell(&saved{s.seq, err}) }) {
		ctx.Log().Debug("snapshot skipped: the one before is still being saved", "seq", s.seq)
	}
}

func (a *Actor) saved(ctx *kit.Context, m *saved) {
	if m.err != nil {
		// The log is whole without it; the next one may succeed.
		ctx.Log().Error("snapshot failed", "seq", m.seq, "reason", m.err)
		return
	}
	a.snapSeq = m.seq
	ctx.Log().Info("snapshot saved", "seq", m.seq)
}
