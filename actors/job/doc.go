// Package job holds the actor of one job and the supervisor of all jobs.
//
// Started by: tree ("jobs"); the supervisor starts one child a job, when it is admitted and when a master begins, and
// again for questions about ended jobs. Owns: desired against observed of one job: stages, slots, attempts, retries.
// Durable: what is done, failures, results, stop and end, through the journal. Promises: at most one attempt of an
// instance is valid; a result is accepted once, and the agent may forget it only when it is durable. When full: its
// mailbox refuses; nodes say again. When restarted: reads its hard state, asks all nodes what they hold of it, and
// launches nothing before they have answered or a grace time is over.
package job
