package trace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/tree"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

const (
	// restless is how many messages may be handled at one moment before something goes round and round, and restlessEach
	// how many more for each node and instance.
	restless, restlessEach = 1_000_000, 100
	// endedMax is how many jobs are remembered that have ended: nobody asks about them.
	endedMax = 64
	// rest is the heartbeat of a world in which no message is lost: nobody needs to say anything twice.
	rest = 100 * 24 * time.Hour
)

// birth is when virtual time begins: with a minute, as orders that age count in minutes.
var birth = time.Date(2031, 1, 2, 3, 4, 0, 0, time.UTC)

// world is one master over made-up machines, in virtual time.
type world struct {
	step  *kit.Stepper
	sys   *kit.System
	env   *msg.Env
	fleet *fleet
	asker kit.Ref
	// answer is what the request under way was answered; nil before.
	answer any
	// size is the number of instances that may be about.
	size uint64
}

// newWorld starts a master in state, which belongs to it from then on, with room for so many live jobs and instances.
func newWorld(seed uint64, now time.Time, state *model.State, jobs, instances int, change func(*tree.Config)) (*world, error) {
	w := &world{step: kit.NewStepper(seed, now), size: uint64(instances)}
	w.fleet = &fleet{agents: map[string]*agent{}, now: w.step.Now, deliver: w.deliver}
	log := &nowhere{last: state.Seq()}
	if _, err := journal.Begin(context.Background(), log, state, "trace", now); err != nil {
		return nil, err
	}
	w.sys = kit.New(kit.Config{Name: "trace", Stepper: w.step})
	limits := msg.DefaultLimits()
	limits.Jobs = max(limits.Jobs, jobs+1)
	limits.EndedJobs = endedMax
	limits.Heartbeat, limits.Suspect, limits.Lost = rest, 100*rest, 200*rest
	c := tree.Config{Cell: "trace", Host: "trace", Version: "trace", Limits: limits, State: state, Log: log, Snap: unsaved{}, Fabric: w.fleet}
	if change != nil {
		change(&c)
	}
	var err error
	if w.env, err = tree.Start(context.Background(), w.sys, c); err != nil {
		return nil, err
	}
	w.asker = w.sys.Port("asker", func(m any, _ kit.Ref) {
		if w.answer == nil {
			w.answer = m
		}
	})
	return w, w.settle()
}

func (w *world) deliver(m *v1.FromAgent) {
	w.sys.Tell(w.env.Refs.Nodes, &msg.FromAgent{Message: m})
}

// settle lets everything happen that happens at this moment.
func (w *world) settle() error { return w.until(w.step.Now()) }

// until lets everything happen up to a moment and at it.
func (w *world) until(at time.Time) error {
	if at.After(w.step.Now()) {
		w.step.AfterFunc(at.Sub(w.step.Now()), func() {}) // time goes on even if nothing else happens
	}
	moment, most := w.step.Now(), w.step.Steps()+w.most()
	for w.step.Step(at) {
		if now := w.step.Now(); !now.Equal(moment) {
			moment, most = now, w.step.Steps()+w.most()
		} else if w.step.Steps() > most {
			return fmt.Errorf("trace: the actors do not come to rest, %v after the beginning", moment.Sub(birth))
		}
	}
	if err := w.sys.Err(); err != nil {
		return fmt.Errorf("trace: the master has failed: %w", err)
	}
	return w.fleet.wrong
}

func (w *world) most() uint64 { return restless + restlessEach*(w.size+uint64(len(w.fleet.list))) }

// join switches machines on, one after the other, so that their order is the one in which the placer knows them.
func (w *world) join(nodes []*v1.NodeInfo) error {
	for _, info := range nodes {
		if problems := model.CheckNodeInfo(info); len(problems) > 0 {
			return model.Invalid("node "+model.Quote(info.GetId())+" is not valid", problems...)
		}
		if w.fleet.agents[info.GetId()] != nil {
			return fmt.Errorf("trace: node %q is there twice", info.GetId())
		}
		w.fleet.join(info)
		if err := w.settle(); err != nil {
			return err
		}
	}
	return nil
}

// call asks the gateway, as a client does, and lets all happen that follows.
func (w *world) call(call any) (any, error) {
	w.answer = nil
	w.sys.TellFrom(w.asker, w.env.Refs.Gateway, &msg.Request{Call: call})
	if err := w.settle(); err != nil {
		return nil, err
	}
	switch m := w.answer.(type) {
	case nil:
		return nil, fmt.Errorf("trace: no answer to %T", call)
	case *model.Fault:
		return nil, m
	case *kit.Busy, *kit.Lost:
		return nil, fmt.Errorf("trace: %T did not reach the gateway", call)
	}
	return w.answer, nil
}

// close ends the master at once.
func (w *world) close() { w.sys.Kill() }

// nowhere is a journal that nobody reads again: the world ends with its process.
type nowhere struct{ last uint64 }

// Bounds implements journal.Log.
func (n *nowhere) Bounds(context.Context) (first, last uint64, err error) {
	return n.last + 1, n.last, nil
}

// Read implements journal.Log.
func (n *nowhere) Read(context.Context, uint64, func(uint64, []byte) error) error {
	return errors.New("trace: nothing is kept")
}

// Tail implements journal.Log.
func (*nowhere) Tail(context.Context, uint64, func(uint64, []byte) error) error {
	return errors.New("trace: nothing is kept")
}

// Append implements journal.Log; what is appended is durable at once.
func (n *nowhere) Append(seq uint64, _ []byte, done func(error)) {
	if seq != n.last+1 {
		done(fmt.Errorf("trace: record %d after record %d", seq, n.last))
		return
	}
	n.last = seq
	done(nil)
}

// Trim implements journal.Log.
func (*nowhere) Trim(context.Context, uint64) error { return nil }

// Close implements journal.Log.
func (*nowhere) Close() error { return nil }

// unsaved are snapshots that are never taken.
type unsaved struct{}

func (unsaved) Save(uint64, [][]byte, func(error)) bool { return false }
func (unsaved) Newest() uint64                          { return 0 }
