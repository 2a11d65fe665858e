// Package kit wraps protoactor once: every actor of Troupe is spawned, supervised, timed and asked through it, and
// nothing else in the project names protoactor. It works around the engine's known traps (each has a test named
// TestTrap…) and adds what a scheduler needs: mailboxes that are bounded, have lanes and refuse instead of blocking;
// a guard around lifecycle messages; timers that are messages and die with their incarnation; one supervision strategy
// that counts per supervisor and escalates; a live tree with counters; and a seeded stepper under which the same
// actors run one message at a time, in virtual time, the same way for the same seed.
//
// Rules for actors: state belongs to one Behavior; a sent message is frozen; a Context is valid only during Receive;
// nothing waits, starts a goroutine, reads a clock or draws a random number but through the Context.
package kit
