// Package queue holds the actor of one named queue and the supervisor of all queues.
//
// Started by: tree ("queues"); the supervisor starts one child a queue. Owns: admission to the queue, idempotency keys,
// the order and the limit of its jobs' demands, what it remembers of how long its owners' runs took. It tells the placer
// what it is promised, and is told what it uses. Durable: queue specs and admissions, through the journal. Promises: a
// submit is answered only when it is durable; one key makes one job. When full: refuses with Busy and a time to try
// again. When restarted: reads its hard state from the journal, asks its jobs for their wants; callers retry by key. The
// past of its owners it has to learn again.
package queue
