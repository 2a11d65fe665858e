// Package trace plays workloads through the production actors in virtual time and measures what becomes of them: how
// full the cell gets, what is stranded, how long work waits, what is evicted. It also plays on from the durable state of
// a cell with something changed, and says what differs.
//
// Nothing here decides. The tree of a master runs whole under a kit.Stepper: gateway, queues, jobs, placer, nodes and
// journal are the same code as in a cell. Only the machines are made up: agents that end an attempt when the workload
// says so, and that check on a ledger of their own that no machine is ever given more than it has.
//
// A workload comes in one of three forms: openb (GPU packing), swf (parallel jobs) or plain (rows of a table).
package trace
