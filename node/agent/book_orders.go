package agent

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/kit/plant"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// command decides on one command of the master.
func (b *book) command(c *v1.Command) {
	switch c := c.GetKind().(type) {
	case *v1.Command_Template:
		b.template(c.Template)
	case *v1.Command_Launch:
		b.launch(c.Launch)
	case *v1.Command_Stop:
		b.stop(c.Stop)
	case *v1.Command_Release:
		b.releaseSlot(c.Release)
	case *v1.Command_Settled:
		for _, fence := range c.Settled.GetFences() {
			if b.ends[fence] != nil {
				b.change(ledger.Entry{Key: ledger.Key{Kind: ledger.End, A: fence}})
			}
		}
	}
}

// template remembers a template. One that is too large, or for which unused ones make no room, is not remembered, and
// the launch that names it is refused.
func (b *book) template(t *v1.Template) {
	stage := stageOf(t.GetJobUid(), t.GetStage())
	old := b.templates[stage]
	if t.GetSpec() == nil || proto.Equal(old, t) {
		return
	}
	size := proto.Size(t)
	if size > b.limits.TemplateBytes || !b.makeRoom(size) {
		return
	}
	b.change(ledger.Entry{Key: templateKey(stage), Value: t})
}

// makeRoom forgets templates that no slot uses, those of the oldest jobs first, until one more of that size is within
// the limits.
func (b *book) makeRoom(size int) bool {
	within := func() bool {
		return len(b.templates) < b.limits.Templates && b.templateBytes+size <= b.limits.TemplatesBytes
	}
	if within() {
		return true
	}
	for _, stage := range b.unusedTemplates() {
		b.change(ledger.Entry{Key: templateKey(stage)})
		if within() {
			return true
		}
	}
	return false
}

func (b *book) unusedTemplates() []model.StageID {
	var unused []model.StageID
	for stage := range b.templates {
		if b.uses[stage] == 0 {
			unused = append(unused, stage)
		}
	}
	slices.SortFunc(unused, compareStages)
	return unused
}

// launch admits an attempt, or refuses it with a reason. One that was heard before changes nothing.
func (b *book) launch(l *v1.Launch) {
	rec := b.slots[l.GetSlot()]
	if rec.GetLaunch().GetFence() == l.GetFence() && rec != nil || b.ends[l.GetFence()] != nil {
		return
	}
	if reason := b.objection(l, rec); reason != "" {
		b.send(toLink, &fact{&v1.Change{Kind: &v1.Change_Refused{
			Refused: &v1.LaunchRefused{Slot: l.GetSlot(), Fence: l.GetFence(), Reason: reason},
		}}})
		return
	}
	next := &v1.LedgerSlot{Launch: l, Incarnation: b.life, BootId: b.bootID}
	template := b.templates[stageOf(l.GetJobUid(), l.GetStage())]
	next.Driver = driverOf(template)
	next.CpuMilli, next.MemoryBytes = template.GetCpuMilli(), template.GetMemoryBytes()
	next.DiskBytes, next.NetBps = template.GetDiskBytes(), template.GetNetBps()
	if rec != nil { // what the slot holds is fixed when it comes to life
		next.Driver = rec.GetDriver()
		next.CpuMilli, next.MemoryBytes = rec.GetCpuMilli(), rec.GetMemoryBytes()
		next.DiskBytes, next.NetBps = rec.GetDiskBytes(), rec.GetNetBps()
	}
	b.change(ledger.Entry{Key: slotKey(next), Value: next})
	b.send(toAttempts, b.dutyOf(next))
}

// objection is why a launch is not admitted; empty if it is. rec is its slot, nil if that is not live.
func (b *book) objection(l *v1.Launch, rec *v1.LedgerSlot) string {
	switch {
	case l.GetSlot() == 0 || l.GetFence() == 0:
		return "slot and fence must not be 0"
	case b.draining != "":
		return "agent is stopping: " + b.draining
	case b.full != "":
		return b.full
	case len(b.ends) >= b.limits.Ends:
		return fmt.Sprintf("%d ends wait to be settled, limit %d", len(b.ends), b.limits.Ends)
	case b.endBytes >= b.limits.EndBytes:
		return fmt.Sprintf("ends that wait to be settled hold %d bytes, limit %d", b.endBytes, b.limits.EndBytes)
	}
	template := b.templates[stageOf(l.GetJobUid(), l.GetStage())]
	if template == nil {
		return fmt.Sprintf("template unknown: job %d stage %d (send it before the first launch of a session; limit %d bytes)",
			l.GetJobUid(), l.GetStage(), b.limits.TemplateBytes)
	}
	if rec != nil {
		return objectionInSlot(l, rec)
	}
	switch {
	case b.wasReleased(l.GetSlot()):
		return fmt.Sprintf("slot %d was released", l.GetSlot())
	case len(b.slots) >= b.limits.Slots:
		return fmt.Sprintf("%d slots are live, limit %d", len(b.slots), b.limits.Slots)
	case !slices.Contains(b.drivers, driverOf(template)):
		return fmt.Sprintf("driver %q is not on this node; it has: %s", driverOf(template), strings.Join(b.drivers, ", "))
	}
	return b.shortage(template, l.GetExtra())
}

func objectionInSlot(l *v1.Launch, rec *v1.LedgerSlot) string {
	was := rec.GetLaunch()
	switch {
	case rec.GetReleasing():
		return fmt.Sprintf("slot %d is being released", l.GetSlot())
	case was.GetJobUid() != l.GetJobUid() || was.GetStage() != l.GetStage():
		return fmt.Sprintf("slot %d belongs to job %d stage %d", l.GetSlot(), was.GetJobUid(), was.GetStage())
	case l.GetFence() < was.GetFence():
		return fmt.Sprintf("fence %d is not above %d, the last of slot %d", l.GetFence(), was.GetFence(), l.GetSlot())
	case !rec.GetEnded():
		return fmt.Sprintf("slot %d runs attempt %d", l.GetSlot(), was.GetFence())
	case !proto.Equal(was.GetExtra(), l.GetExtra()):
		return fmt.Sprintf("slot %d came to life with other ports, devices or custom units", l.GetSlot())
	}
	return ""
}

// shortage says what a new slot of the template would exceed; empty if nothing.
func (b *book) shortage(t *v1.Template, x *v1.SlotExtra) string {
	for i, need := range templateResources(t) {
		name, free := model.ResourceNames[i], b.capacity[i]-b.held[i]
		if need < 0 || need > model.MaxAmount {
			return fmt.Sprintf("template: %s is %d, must be 0 to %d", name, need, model.MaxAmount)
		}
		if need > free && !plant.Is(plant.AdmissionOff) {
			return fmt.Sprintf("short of %s: need %d, free %d of %d", name, need, max(free, 0), b.capacity[i])
		}
	}
	if plant.Is(plant.AdmissionOff) {
		return ""
	}
	return b.extras.Lacks(x)
}

func (b *book) stop(s *v1.StopAttempt) {
	if rec := b.slots[s.GetSlot()]; rec != nil && !rec.GetEnded() && rec.GetLaunch().GetFence() == s.GetFence() {
		b.send(toAttempts, &halt{s.GetSlot(), s.GetFence(), s.GetReason()})
	}
}

func (b *book) releaseSlot(r *v1.ReleaseSlot) {
	rec := b.slots[r.GetSlot()]
	if rec == nil {
		b.send(toLink, releasedFact(r.GetSlot()))
		return
	}
	b.release(rec, r.GetReason())
}

// release marks a slot before anything is undone in it: after a restart nobody may take its attempt, of which the
// driver has removed all traces, for one that was never begun.
func (b *book) release(rec *v1.LedgerSlot, reason string) {
	if !rec.GetReleasing() {
		marked := proto.CloneOf(rec)
		marked.Releasing, marked.ReleaseReason = true, reason
		b.change(ledger.Entry{Key: slotKey(rec), Value: marked})
		rec = marked
	}
	b.send(toAttempts, b.dutyOf(rec))
}
