package journal

import (
	"fmt"
	"slices"

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
	defaultSnapshotBytes   = 64 << 20
	subscribersMax         = 1024
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
}

// batch is one record in the making and what leaves when it is durable.
type batch struct {
	seq    uint64
	events []*v1.Event
	bytes  int64
	then   []msg.Send
	at     int64
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
	case *saved:
		a.saved(ctx, m)
	case *msg.ReadJob, *msg.ReadQueue, *msg.ReadNode, *msg.ReadCell:
		a.read(ctx, m)
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
	a.sinceRecords = a.state.Seq() - a.snapSeq
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
			if n := len(a.wait); len(a.wait[n-1].events) == 0 {
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

// after lets messages leave when everything staged so far is durable.
func (a *Actor) after(ctx *kit.Context, then ...msg.Send) {
	switch {
	case len(a.wait) > 0:
		last := &a.wait[len(a.wait)-1]
		last.then = append(last.then, then...)
	case len(a.sent) > 0:
		last := &a.sent[len(a.sent)-1]
		last.then = append(last.then, then...)
	default:
		a.release(ctx, batch{then: then})
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

// flush appends what waits if the log is free, or if so much waits that a second append beside the first pays.
func (a *Actor) flush(ctx *kit.Context) {
	for len(a.wait) > 0 && len(a.wait[0].events) > 0 {
		if len(a.sent) > 0 && (len(a.sent) >= pipeline || a.wait[0].bytes < pipelineBytes) {
			break
		}
		a.append(ctx)
	}
	a.tellBacklog(ctx)
}

// append makes a record of the oldest batch and hands it to the log.
func (a *Actor) append(ctx *kit.Context) {
	b := a.wait[0]
	a.wait = a.wait[1:]
	head := a.state.Head()
	b.seq, b.at = a.state.Seq()+1, ctx.Now().UnixNano()
	rec := &v1.Record{Seq: b.seq, Epoch: a.cfg.Env.Epoch, TimeUnixNano: b.at, Events: b.events}
	if b.seq > 1 {
		rec.Prev = head[:]
	}
	data, hash, err := EncodeRecord(rec)
	if err != nil {
		panic(fmt.Errorf("journal: record %d: %w", b.seq, err))
	}
	if err := a.state.Seal(rec, hash); err != nil {
		panic(fmt.Errorf("journal: record %d: %w", b.seq, err))
	}
	a.sent = append(a.sent, b)
	a.sinceRecords++
	a.sinceBytes += int64(len(data))
	if len(a.wait) == 0 {
		a.maybeSnapshot()
	}
	tell := a.tell
	a.cfg.Log.Append(b.seq, data, func(err error) { tell(&appended{b.seq, err}) })
}

func (a *Actor) appended(ctx *kit.Context, m *appended) {
	if m.err != nil {
		panic(fmt.Errorf("journal: append of record %d: %w", m.seq, m.err))
	}
	if len(a.sent) == 0 || a.sent[0].seq != m.seq {
		panic(fmt.Errorf("journal: record %d was acknowledged out of order", m.seq))
	}
	b := a.sent[0]
	a.sent = a.sent[1:]
	a.bytes -= b.bytes
	a.release(ctx, b)
	if a.held != nil && a.held.seq <= m.seq {
		a.save(ctx)
	}
	a.flush(ctx)
}

// release lets out what waited for the batch.
func (a *Actor) release(ctx *kit.Context, b batch) {
	for _, s := range b.then {
		if s.From != nil {
			ctx.TellFrom(s.From, s.To, s.Message)
		} else {
			ctx.Tell(s.To, s.Message)
		}
	}
	for _, ev := range b.events {
		if e := jobEvent(ev); e != nil {
			e.Seq, e.Epoch, e.TimeUnixMs = b.seq, a.cfg.Env.Epoch, b.at/1e6
			a.cfg.Publish(e)
			for _, ref := range a.subs {
				ctx.Tell(ref, e)
			}
		}
	}
}

// maybeSnapshot takes a snapshot when enough was appended: now, while the state is just what the records hold.
func (a *Actor) maybeSnapshot() {
	if a.held != nil || (a.sinceRecords < a.cfg.SnapshotRecords && a.sinceBytes < a.cfg.SnapshotBytes) {
		return
	}
	a.held = &snapshot{a.state.Seq(), a.state.Entries()}
	a.sinceRecords, a.sinceBytes = 0, 0
	if plant.Is(plant.SnapshotAhead) {
		a.cfg.Snap.Save(a.held.seq, a.held.entries, func(error) {})
	}
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

// tellBacklog tells the gateway when the backlog has moved by an eighth of its limit.
func (a *Actor) tellBacklog(ctx *kit.Context) {
	level := int64(0)
	if limit := a.cfg.Env.BacklogBytes; limit > 0 {
		level = a.bytes * 8 / limit
	}
	if level != a.level {
		a.level = level
		ctx.Tell(a.cfg.Env.Refs.Gateway, &msg.Backlog{Bytes: a.bytes})
	}
}
