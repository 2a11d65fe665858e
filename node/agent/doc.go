// Package agent is the supervised tree of actors on every machine that runs what the master wants, and goes on running
// it whatever happens to the master, the link to it or any of these actors.
//
//	agent       supervisor; fails, and ends the process, when its children fail too often
//	├ ledger    the one writer of what must be known after a restart, and the one that decides on it
//	├ attempts  supervisor of slots
//	│  └ <slot> one live slot and what runs in it
//	└ link      the session with the master
//
// Two things lie outside of the actors and outlive a crash of any of them: the ledger's store, and the rig (what each
// slot was given last, and what its driver said last). Everything in an actor can be built again from them, so an actor
// that crashes is restarted alone.
//
// How it flows, all in one direction:
//
//	link ──commands──▶ ledger ──duties──▶ attempts ──▶ slot ──▶ rig ──▶ driver
//	link ◀───facts──── ledger ◀──────observed──────── slot ◀── rig ◀── driver
//
// ledger is started by the supervisor. It owns head, templates, slots, unsettled ends and released slots. It takes
// inputs in order, decides on them as pure code (book), writes what changed, many inputs at once, and only when that is
// durable do the consequences leave, in the order of the inputs: a launch is saved before it is started, an end before
// it is told. The facts that link hears are therefore one ordered stream, and its view of the agent (for the Hello) is a
// point in that stream. When the disk is full it refuses launches with the reason, keeps what else it was told and
// tries to write it every second. When restarted it waits for writes under way, reads everything again, tells attempts
// all duties and asks link for a new session.
//
// attempts is started by the supervisor. It owns who works on which slot, and passes on duties, stops and notices of the
// rig. When restarted, its slots restart with it; it asks ledger for all duties, and slots that only a driver knows
// are released.
//
// slot is started by attempts with its first duty and leaves when the slot is released. It owns the way of one attempt:
// fetch inputs, start, watch, end. A duty says what should be; it compares that with what the rig knows, so hearing it
// twice changes nothing. When restarted it asks for its duty and looks at the rig. The fourth crash of a slot ends its
// attempt as lost and releases it instead of trying again.
//
// link is started by the supervisor. It owns the session: Hello until welcomed, numbered items both ways, heartbeats,
// epochs. It promises that each command reaches the ledger once and in order, and that each fact reaches the master or a
// new session begins with a full Hello. When more commands wait at the ledger than Limits.Commands it takes no more, and
// the master sends them again later; when more facts wait for the master than Limits.Facts, and when it or a sibling was
// restarted, it opens a new session.
//
// What the master may rely on, beyond protos/v1/agent.proto: templates without a live slot are forgotten when a new
// session begins, so a template is sent again before the first Launch of a session that names it, and a Launch that names
// an unknown one is refused. A digest covers every live slot with its newest attempt and whether that has ended; it is
// sent only while the agent has nothing unacknowledged, in a message whose ack covers the commands and whose first is the
// number that the next change will get: with any other ack or number on the master's side it is old.
package agent
