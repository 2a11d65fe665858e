package view

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Message is m as a part of a JSON document.
func Message(m proto.Message) (json.RawMessage, error) {
	data, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return data, nil
}

// Record is a record of the journal, a line an event.
func Record(p *Page, rec *v1.Record) {
	at := time.Unix(0, rec.GetTimeUnixNano()).UTC().Format("2006-01-02 15:04:05.000")
	for _, ev := range rec.GetEvents() {
		what, of, more := event(ev)
		p.Line("%8d  %s  epoch %d  %-11s %s%s", rec.GetSeq(), at, rec.GetEpoch(), what, Clean(of), clause(more))
	}
}

func clause(parts []string) string {
	var list []string
	for _, part := range parts {
		if part != "" {
			list = append(list, Clean(part))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

// event says in words what an event tells: what happened, to what, and more of it.
func event(ev *v1.Event) (what, of string, more []string) {
	switch k := ev.GetKind().(type) {
	case *v1.Event_EpochStarted:
		return "epoch", fmt.Sprint(k.EpochStarted.GetEpoch()), []string{"master on " + k.EpochStarted.GetHost()}
	case *v1.Event_QueueSet:
		return "queue", k.QueueSet.GetSpec().GetName(), []string{"set"}
	case *v1.Event_QueueRemoved:
		return "queue", k.QueueRemoved.GetQueue(), []string{"removed"}
	case *v1.Event_NodeJoined:
		i := k.NodeJoined.GetInfo()
		return "node", i.GetId(), []string{"joined with " + CPU(i.GetCpuMilli()) + " cores", Bytes(i.GetMemoryBytes()) + " of memory"}
	case *v1.Event_NodeDrained:
		e := k.NodeDrained
		return "node", e.GetNode(), []string{word(e.GetDrained(), "drained", "undrained"), word(e.GetMaintenance(), "for maintenance", ""),
			word(e.GetEvict(), "moving what runs", ""), e.GetReason()}
	case *v1.Event_NodeTainted:
		return "node", k.NodeTainted.GetNode(), []string{"tainted " + model.FormatTaints(k.NodeTainted.GetTaints())}
	case *v1.Event_NodeRemoved:
		return "node", k.NodeRemoved.GetNode(), []string{"removed"}
	}
	return jobEvent(ev)
}

func jobEvent(ev *v1.Event) (what, of string, more []string) {
	id := func(queue, name string, uid uint64) string { return fmt.Sprintf("%s/%s (uid %d)", queue, name, uid) }
	switch k := ev.GetKind().(type) {
	case *v1.Event_JobSubmitted:
		e := k.JobSubmitted
		return "submitted", id(e.GetSpec().GetQueue(), e.GetSpec().GetName(), e.GetUid()), []string{plural(uint64(len(e.GetSpec().GetStages())), "stage"), word(e.GetKey() != "", "key "+e.GetKey(), "")}
	case *v1.Event_JobStopRequested:
		e := k.JobStopRequested
		return "stopping", id(e.GetQueue(), e.GetName(), e.GetUid()), []string{e.GetReason()}
	case *v1.Event_JobProgressed:
		return progressed(k.JobProgressed, id)
	case *v1.Event_InstancesEvicted:
		e := k.InstancesEvicted
		newest := e.GetEvictions()[len(e.GetEvictions())-1] // there is one at least
		return "evicted", id(e.GetQueue(), e.GetName(), e.GetUid()), []string{plural(uint64(len(e.GetEvictions())), "attempt") + " of " + e.GetStageName(),
			newest.GetRule(), word(newest.GetFor() != "", "for "+newest.GetFor(), ""), newest.GetReason()}
	case *v1.Event_JobEnded:
		e := k.JobEnded
		return "ended", id(e.GetQueue(), e.GetName(), e.GetUid()), []string{e.GetPhase(), e.GetReason()}
	case *v1.Event_JobForgotten:
		e := k.JobForgotten
		return "forgotten", id(e.GetQueue(), e.GetName(), e.GetUid()), nil
	}
	return "unknown", "", []string{"a newer version has written it"}
}

func progressed(e *v1.JobProgressed, id func(queue, name string, uid uint64) string) (what, of string, more []string) {
	done := uint64(0)
	for _, r := range e.GetDone() {
		done += r.GetTo() - r.GetFrom()
	}
	more = append(more, "stage "+e.GetStageName(), word(done > 0, some(done)+" done", ""))
	if n := len(e.GetFailures()); n > 0 {
		last := e.GetFailures()[n-1]
		more = append(more, plural(uint64(n), "failure"), fmt.Sprintf("the last of instance %d on %s: exit code %d %s", last.GetIndex(), last.GetNode(), last.GetExitCode(), last.GetReason()))
	}
	return "progressed", id(e.GetQueue(), e.GetName(), e.GetUid()), more
}

func word(holds bool, yes, no string) string {
	if holds {
		return yes
	}
	return no
}

// State is a hard state: what a master that began now would know. Jobs are the summaries of its jobs.
func State(p *Page, s *model.State, jobs []*v1.JobSummary) {
	p.Line("as of record %d, in epoch %d", s.Seq(), s.Epoch())
	if queues := s.Queues(); len(queues) > 0 {
		p.Line("")
		t := NewTable("QUEUE", ">LIVE JOBS", ">MAX JOBS", ">MAX SLOTS")
		for _, q := range queues {
			t.Row(q.Spec.GetName(), Count(q.LiveJobs()), limit(q.Spec.GetMaxJobs()), limit(q.Spec.GetMaxSlots()))
		}
		t.Write(p)
	}
	if len(jobs) > 0 {
		p.Line("")
		Jobs(p, jobs)
	}
	if nodes := s.Nodes(); len(nodes) > 0 {
		p.Line("")
		t := NewTable("NODE", ">CORES", ">MEMORY", "OUT", "TAINTS")
		for _, n := range nodes {
			t.Row(string(n.ID), CPU(n.Info.GetCpuMilli()), Bytes(n.Info.GetMemoryBytes()), word(n.Drained, "drained "+n.DrainReason, ""), model.FormatTaints(n.Taints))
		}
		t.Write(p)
	}
}

func limit(n int64) string {
	if n == 0 {
		return "none"
	}
	return Count(n)
}
