package model_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/actors/journal/journaltest"
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

func entriesEqual(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// Snapshot at every prefix and the tail after it make the same bytes as the whole replay.
func TestS5_F30_SnapshotAndTailEqualReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stored, full := journaltest.Draw(t, 30)
		want := full.Entries()
		state := model.NewState()
		for cut := range len(stored) + 1 {
			restored, err := model.LoadState(state.Entries())
			if err != nil {
				t.Fatalf("load the snapshot of record %d: %v", cut, err)
			}
			if restored.Digest() != state.Digest() || restored.LiveJobs() != state.LiveJobs() || restored.EndedJobs() != state.EndedJobs() {
				t.Fatalf("the snapshot of record %d is not its state", cut)
			}
			if got, want := facts(restored), facts(state); got != want {
				t.Fatalf("the snapshot of record %d has lost something:\n%s\n%s", cut, got, want)
			}
			for i, s := range stored[cut:] {
				if err := journal.Replay(restored, uint64(cut+i+1), s.Data); err != nil {
					t.Fatalf("snapshot %d: %v", cut, err)
				}
			}
			if !entriesEqual(restored.Entries(), want) {
				t.Fatalf("snapshot of record %d and its tail differ from the replay", cut)
			}
			if cut < len(stored) {
				if err := journal.Replay(state, uint64(cut+1), stored[cut].Data); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// facts is all that a state says of itself, by other ways than its snapshot.
func facts(s *model.State) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Seq(), s.Epoch(), s.Head(), s.NextUID(), s.LiveJobs(), s.EndedJobs())
	for _, q := range s.Queues() {
		fmt.Fprintln(&b, q.Spec.GetName(), q.Spec.GetMaxJobs(), q.LiveJobs())
		for _, key := range []string{"k0", "k1", "k2", "k3"} {
			fmt.Fprintln(&b, key, q.Key(key).GetUid(), q.Key(key).GetName(), q.Key(key).GetSpecSha256())
		}
	}
	for _, n := range s.Nodes() {
		fmt.Fprintln(&b, n.ID, n.Info.GetId(), n.Info.GetCpuMilli(), n.Info.GetAttributes(), n.Drained, n.DrainReason)
	}
	for _, j := range s.Jobs() {
		fmt.Fprintln(&b, j.UID, j.ID, j.Key, j.SubmittedUnixNano, j.StopRequested, j.StopReason, j.Phase, j.Reason, j.EndedUnixNano,
			j.Spec.GetLabels(), s.Newest(j.ID).UID, s.Job(j.UID) == j)
		for stage := range j.Stages() {
			fmt.Fprintln(&b, j.Counts(stage), j.StageDone(stage), j.Results(stage))
			for i := range j.Counts(stage).Instances {
				last := j.LastFailure(stage, i)
				fmt.Fprint(&b, j.Done(stage, i), j.Dead(stage, i), j.Failures(stage, i), last.GetNode(), last.GetTimeUnixNano(), last.GetExitCode())
			}
		}
	}
	return b.String()
}

// A clone is a state of its own, and an event that is refused leaves no trace.
func TestS16_CloneIsIndependentAndRefusalLeavesNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, state := journaltest.Draw(t, 20)
		want := state.Entries()
		clone := state.Clone()
		rec := &v1.Record{Seq: clone.Seq() + 1, Epoch: clone.Epoch() + 1, Prev: journal.Prev(clone)}
		ev := &v1.Event{}
		fill(t, ev.ProtoReflect(), 0)
		nearState(t, ev, state)
		start := &v1.Event{Kind: &v1.Event_EpochStarted{EpochStarted: &v1.EpochStarted{Epoch: rec.Epoch}}}
		rec.Events = []*v1.Event{start, ev}
		err := clone.Apply(rec, [32]byte{1})
		if err != nil && !entriesEqual(clone.Entries(), want) {
			t.Fatalf("refused (%v), yet the state changed by %v", err, ev)
		}
		if !entriesEqual(state.Entries(), want) {
			t.Fatal("the clone changed its original")
		}
		if err != nil {
			var fault *model.Fault
			if !errors.As(err, &fault) || fault.Err != model.ErrConflict && fault.Err != model.ErrInvalid {
				t.Fatalf("refused by %v, want a conflict or something invalid", err)
			}
			return
		}
		if _, err := model.LoadState(clone.Entries()); err != nil {
			t.Fatalf("cannot load what %v has made: %v", ev, err)
		}
	})
}

// nearState turns wild identities into ones that exist, so that the checks behind them are reached.
func nearState(t *rapid.T, ev *v1.Event, state *model.State) {
	jobs := state.Jobs()
	if len(jobs) == 0 || rapid.IntRange(0, 9).Draw(t, "stay wild") == 0 {
		return
	}
	job := rapid.SampledFrom(jobs).Draw(t, "job")
	uid, queue, name := uint64(job.UID), job.ID.Queue, job.ID.Name
	switch k := ev.GetKind().(type) {
	case *v1.Event_JobProgressed:
		if e := k.JobProgressed; e != nil {
			e.Uid, e.Queue, e.Name, e.Stage = uid, queue, name, e.Stage%uint32(job.Stages())
			n := job.Counts(int(e.Stage)).Instances
			for _, r := range e.Done {
				r.From, r.To = r.From%n, r.From%n+1+r.To%n
			}
			for _, f := range e.Failures {
				f.Index, f.Failures = f.Index%(n+1), f.Failures%3
			}
			for i, r := range e.Results {
				if len(e.Done) > i {
					r.Index = e.Done[i].From
				}
			}
		}
	case *v1.Event_JobEnded:
		if e := k.JobEnded; e != nil {
			e.Uid, e.Queue, e.Name, e.Phase = uid, queue, name, model.PhaseSucceeded
		}
	case *v1.Event_InstancesEvicted:
		if e := k.InstancesEvicted; e != nil {
			e.Uid, e.Queue, e.Name, e.Stage = uid, queue, name, e.Stage%uint32(job.Stages())
			for _, v := range e.Evictions {
				v.Index %= job.Counts(int(e.Stage)).Instances + 1
			}
		}
	case *v1.Event_JobStopRequested:
		if e := k.JobStopRequested; e != nil {
			e.Uid, e.Queue, e.Name = uid, queue, name
		}
	case *v1.Event_JobForgotten:
		if e := k.JobForgotten; e != nil {
			e.Uid, e.Queue, e.Name = uid, queue, name
		}
	case *v1.Event_JobSubmitted:
		if e := k.JobSubmitted; e.GetSpec() != nil {
			e.Spec.Queue, e.Spec.Name = queue, name
		}
	case *v1.Event_QueueRemoved:
		if e := k.QueueRemoved; e != nil {
			e.Queue = queue
		}
	}
}

// fill sets fields of m to wild values.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	if oneof := m.Descriptor().Oneofs(); oneof.Len() > 0 {
		fields := oneof.Get(0).Fields()
		f := fields.Get(rapid.IntRange(0, fields.Len()-1).Draw(t, "kind"))
		fill(t, m.Mutable(f).Message(), depth+1)
		return
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if depth > 5 || rapid.IntRange(0, 3).Draw(t, "set "+string(f.Name())) == 0 {
			continue
		}
		switch {
		case f.IsMap():
			key, value := protoreflect.ValueOfString(wildText(t)).MapKey(), f.MapValue().Kind()
			m.Mutable(f).Map().Set(key, wild(t, value))
		case f.IsList():
			for range rapid.IntRange(0, 3).Draw(t, "n") {
				list := m.Mutable(f).List()
				if f.Kind() == protoreflect.MessageKind {
					fill(t, list.AppendMutable().Message(), depth+1)
				} else {
					list.Append(wild(t, f.Kind()))
				}
			}
		case f.Kind() == protoreflect.MessageKind:
			fill(t, m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, wild(t, f.Kind()))
		}
	}
}

func wildText(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "q0", "q1", "j0", "n1", "succeeded", "stopped", "\x00", "漢"}).Draw(t, "text")
}

func wild(t *rapid.T, kind protoreflect.Kind) protoreflect.Value {
	n := rapid.SampledFrom([]uint64{0, 1, 2, 3, 63, 64, 1 << 20, 1 << 31, 1<<32 - 1, 1 << 62, 1<<64 - 1}).Draw(t, "number")
	switch kind {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(wildText(t))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(wildText(t)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n%2 == 1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(n)
	}
	panic(fmt.Sprintf("no wild value of kind %v", kind))
}

// Whatever bytes a snapshot is made of, loading it answers.
func FuzzLoadState(f *testing.F) {
	for seed := range 5 {
		_, state := drawSeed(f, seed)
		f.Add(bytes.Join(state.Entries(), []byte{0xff, 0xff}))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		state, err := model.LoadState(bytes.Split(data, []byte{0xff, 0xff}))
		if err != nil {
			return
		}
		again, err := model.LoadState(state.Entries())
		if err != nil || again.Digest() != state.Digest() {
			t.Fatalf("a state that loads does not load again: %v", err)
		}
	})
}

// Whatever bytes a record is made of, applying it answers.
func FuzzApply(f *testing.F) {
	base := []*model.State{model.NewState()}
	for seed := range 5 {
		stored, state := drawSeed(f, seed)
		base = append(base, state)
		for _, s := range stored {
			data, err := proto.Marshal(s.Record)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data, uint8(seed))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		rec := &v1.Record{}
		if model.UnmarshalExact(data, rec) != nil {
			return
		}
		state := base[int(which)%len(base)].Clone()
		if len(data)%2 == 0 { // half of them get past the chain
			rec.Seq, rec.Prev = state.Seq()+1, journal.Prev(state)
			if len(rec.Events) == 0 || rec.Events[0].GetEpochStarted() == nil {
				rec.Epoch = state.Epoch()
			}
		}
		if state.Apply(rec, [32]byte{1}) != nil {
			return
		}
		if _, err := model.LoadState(state.Entries()); err != nil {
			t.Fatalf("cannot load what %v has made: %v", rec, err)
		}
	})
}

// drawSeed draws a journal outside a property.
func drawSeed(f *testing.F, seed int) (stored []journaltest.Stored, state *model.State) {
	f.Helper()
	type drawn struct {
		stored []journaltest.Stored
		state  *model.State
	}
	d := rapid.Custom(func(t *rapid.T) drawn {
		stored, state := journaltest.Draw(t, 20)
		return drawn{stored, state}
	}).Example(seed)
	return d.stored, d.state
}
