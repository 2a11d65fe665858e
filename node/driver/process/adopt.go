//go:build linux || darwin

package process

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/process/internal/host"
	"github.com/troupe-sched/troupe/node/driver/process/internal/wire"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// adopting bounds how many shims are asked at once when the driver is opened.
const adopting = 32

// adopted is a slot that was found; link is nil if its shim is dead, first is the event about its attempt.
type adopted struct {
	slot  *slot
	link  *link
	first *driver.Event
}

func (a adopted) letGo() {
	if a.link != nil {
		_ = a.link.conn.Close()
	}
}

// adopt looks at every slot's directory and takes over its shim, or its last words.
func (d *Driver) adopt(ctx context.Context) ([]adopted, error) {
	dir := filepath.Join(d.opt.Dir, wire.SlotsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	dial, err := newDialer(dir)
	if err != nil {
		return nil, err
	}
	defer dial.close()
	deadline := time.Now().Add(d.opt.AdoptWithin)
	if at, ok := ctx.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	found := make([]*adopted, len(entries))
	var group errgroup.Group
	group.SetLimit(adopting)
	for i, e := range entries {
		number, ok := wire.ParseSlot(e.Name())
		if !ok {
			d.opt.Log.Warn("not the folder of a slot, left alone", "dir", dir, "name", e.Name())
			continue
		}
		group.Go(func() error {
			found[i] = d.adoptSlot(d.newSlot(number), dial, deadline)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slots := make([]adopted, 0, len(found))
	for _, a := range found {
		if a != nil {
			slots = append(slots, *a)
		}
	}
	return slots, nil
}

// adoptSlot takes over one slot; nil if nothing ever ran in it.
func (d *Driver) adoptSlot(s *slot, dial *dialer, deadline time.Time) *adopted {
	disk, err := wire.ReadState(filepath.Join(s.dir, wire.StateName))
	if err != nil {
		d.opt.Log.Error("state of a slot cannot be read", "slot", s.number, "error", err)
	}
	l, err := dial.dial(s.number, deadline)
	if err != nil {
		d.opt.Log.Debug("no shim answers", "slot", s.number, "cause", err)
		return d.adoptDead(s, disk)
	}
	st, err := l.next()
	if err != nil {
		if !os.IsTimeout(err) {
			_ = l.conn.Close()
			return d.adoptDead(s, disk)
		}
		// It lives but does not answer: that is no reason to kill what it runs. Its word is taken when it comes; a
		// partial frame stays in the decoder.
		d.opt.Log.Warn("shim is slow to answer", "slot", s.number, "pid", disk.GetPid())
		st = disk
	} else {
		s.up = true
	}
	if st.GetAttempt().GetFence() == 0 {
		// It has nothing to tell and ends by itself when it is left.
		_ = l.conn.Close()
		s.discard()
		return nil
	}
	if err := l.conn.SetReadDeadline(time.Time{}); err != nil {
		d.opt.Log.Error("shim's socket", "slot", s.number, "error", err)
	}
	s.serving, s.link = true, l
	return &adopted{slot: s, link: l, first: s.inherit(st)}
}

// adoptDead takes the last words of a shim that is gone, after it has been made sure that all of it is.
func (d *Driver) adoptDead(s *slot, disk *v1.ShimState) *adopted {
	s.shim = identityOf(disk)
	s.shim.kill()
	fence := disk.GetAttempt().GetFence()
	last, left := account(s.dir, s.shim, fence)
	if last.GetAttempt().GetFence() == 0 {
		if left != "" {
			d.opt.Log.Error("slot is discarded", "slot", s.number, "problem", left)
		}
		s.discard()
		return nil
	}
	if a := last.Attempt; a.Phase == running {
		a.Phase, a.ExitCode, a.Reason = lost, -1, "its shim died while no agent was there"
		if boot, err := host.BootID(); err == nil && last.BootId != boot {
			a.Reason = "the machine was started again"
		}
		if left != "" {
			a.Reason += "; " + left
		}
		a.EndedUnixNano = time.Now().UnixNano()
	}
	return &adopted{slot: s, first: s.inherit(last)}
}

// inherit fills the slot from the state of a shim that an earlier agent started, and makes the event about it.
func (s *slot) inherit(st *v1.ShimState) *driver.Event {
	a := st.Attempt
	s.shim = identityOf(st)
	s.grace = time.Duration(st.GraceMs) * time.Millisecond
	s.id = wire.LogID{Fence: a.Fence, UID: a.JobUid, Index: a.Index, Stage: wire.SafeName(st.StageName)}
	s.stage, s.attempt, s.adopted = a.Stage, a.Attempt, true
	outcome := outcomeOf(a)
	s.busy = !outcome.IsFinal()
	if !s.busy {
		s.last = outcome
	}
	return &driver.Event{Slot: s.number, Fence: a.Fence, Outcome: outcome, Adopted: true}
}

// discard removes the folder of a slot in which nothing ever ran.
func (s *slot) discard() {
	if err := host.RemoveAll(s.dir); err != nil {
		s.d.opt.Log.Error("slot leaves files behind", "slot", s.number, "dir", s.dir, "error", err)
	}
}

func identityOf(st *v1.ShimState) identity {
	return identity{pid: int(st.GetPid()), start: st.GetStart(), boot: st.GetBootId()}
}
