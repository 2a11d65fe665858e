package agent

import (
	"github.com/troupe-sched/troupe/actors/kit"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// kin are the addresses of the three siblings. The supervisor fills them in before any of them handles its first
// message; they stay the same over restarts.
type kin struct {
	ledger, attempts, link kit.Ref
}

// To ledger: the inputs that it decides on, in order.
type (
	// raise, from link: a master of a higher epoch has spoken. Answered by raised.
	raise struct{ message *v1.ToAgent }
	// order, from link: one command, taken in order in that session. Counted in a later obeyed.
	order struct {
		session uint64
		command *v1.Command
	}
	// survey, from link: a new session begins. Answered by inventory.
	survey struct{ session uint64 }
	// pulse, from link. Answered by digest.
	pulse struct{ session, taken uint64 }
	// observed, from a slot: where its attempt stands.
	observed struct{ state *v1.AttemptState }
	// vacated, from a slot: the driver has let go of it. end is how its attempt ended, nil if that was told before.
	vacated struct {
		slot uint64
		end  *v1.AttemptState
	}
	// spoiled, from a slot whose actor crashed too often: release it.
	spoiled struct{ slot uint64 }
	// recall, from attempts (slot 0: all) or a slot that has restarted. Answered by roster or duty, through attempts.
	recall struct{ slot uint64 }
	// drain, from outside: stop everything and take nothing new. reply gets drained.
	drain struct {
		reason string
		reply  kit.Ref
	}
)

// From ledger to attempts, and on to slots.
type (
	// duty is what the ledger holds of one slot. rec and template are frozen.
	duty struct {
		rec      *v1.LedgerSlot
		template *v1.Template
	}
	// roster is all duties, by slot, and the jobs that they belong to.
	roster struct {
		duties []*duty
		jobs   []uint64
	}
	// halt asks to stop an attempt.
	halt struct {
		slot, fence uint64
		reason      string
	}
	// gone says that a slot is no more. last: its job has no other here.
	gone struct {
		slot uint64
		jobs []uint64
		last bool
	}
	// drainAll carries a drain on: reply when no slot is left.
	drainAll struct{ reply kit.Ref }
)

// From ledger to link.
type (
	raised struct {
		message *v1.ToAgent
		epoch   uint64
	}
	// fact is one change that the master must hear of.
	fact struct{ change *v1.Change }
	// inventory is all that the agent holds at this point of the stream of facts.
	inventory struct {
		session, epoch uint64
		slots          []*v1.SlotState
		// ends that are not settled, with their results.
		ends []*v1.AttemptState
	}
	digest struct{ session, taken, value uint64 }
	// obeyed says that so many orders of a session have been decided.
	obeyed struct {
		session uint64
		n       int
	}
)

// resync, to link from a sibling that was restarted and may have lost a message: begin a new session.
type resync struct{ why string }

// Lane of a resync: it must get through.
func (*resync) Lane() kit.Lane { return kit.Control }

// notice, to attempts from the rig and on to the slot: look at the rig.
type notice struct{ slot uint64 }

// drained answers a drain.
type drained struct{}

// From ports to the ledger.
type (
	// cleared: the writes of earlier incarnations are done.
	cleared struct{ incarnation int }
	written struct {
		incarnation int
		number      uint64
		err         error
	}
)

// fetched, from Inputs to the slot.
type fetched struct {
	fence uint64
	try   int
	given Given
	err   error
}
