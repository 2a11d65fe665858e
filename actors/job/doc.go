// Package job holds the actor of one job and the supervisor of all jobs.
//
// Started by: tree ("jobs"); the supervisor starts one child a job, when it is admitted and when a master begins, and
// again for questions about ended jobs. Owns: desired against observed of one job: stages, slots, attempts, retries.
// Durable: what is done, failures, results, evictions, stop and end, through the journal. Promises: at most one attempt of
// an instance is valid; a result is accepted once, and the agent may forget it only when it is durable; what it is asked
// to give up stops when its eviction is durable, and waits again without a failure; a gang launches nothing before all of
// it is there. When full: its mailbox refuses; nodes say again. When restarted: reads its hard state, asks all nodes what
// they hold of it, and launches nothing before they have answered or a grace time is over; an eviction that was not
// durable is forgotten, and asked for again by who wants the room.
package job
