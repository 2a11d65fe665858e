// Package kit wraps protoactor once: every actor of Troupe is spawned, supervised, timed and asked through it, and
// nothing else in the project names protoactor. It works around the engine's known traps (each has a test named
// TestTrap…) and adds what a scheduler needs: mailboxes that are bounded, have lanes and refuse instead of blocking;
// a guard around lifecycle messages; timers that are messages and die with their incarnation; one supervision strategy
// that counts per supervisor and escalates; a live tree with counters; and a seeded stepper under which the same
// actors run one message at a time, in virtual time, the same way for the same seed.
//
// Rules for actors: state belongs to one Behavior; a sent message is frozen; a Context is valid only during Receive;
// nothing waits, starts a goroutine, reads a clock or draws a random number but through the Context.
//
// # What becomes of a message
//
// Messages of one sender to one actor arrive in the order they were sent, lane by lane. Every message ends in exactly
// one way, and all but the first are counted and told to the sender, if it has one:
//
//   - it is handled; if the handler fails, that message is gone, and the sender re-sends by its own id and deadline
//   - the mailbox was full: the sender gets a Busy
//   - the actor had ended, or ended before it came to it: the sender gets a Lost (see Undelivered)
//
// Timers, Retire and Shutdown are never refused: each actor holds a bounded number of them.
//
// # What becomes of an actor that fails
//
// A panic is logged with its stack and ends the incarnation: nothing more is delivered to it, its timers are dropped,
// its children end. What waits in its mailbox is for the next incarnation, which a new Behavior begins with Started.
// Spec.Restart and the supervisor's Limit say whether there is one. The top actor is not restarted: the system is done.
package kit
