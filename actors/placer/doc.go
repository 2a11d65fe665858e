// Package placer holds the actor that grants slots: it keeps the demands of all jobs and a columnar view of all nodes,
// grants what fits now, remembers the rest, and grants more when anything frees, without being asked again.
//
// It is the one that decides with a view of everything, and it decides by pure policies: place chooses nodes, share what
// each queue may hold, preempt who has to go, backfill who is first and what may go ahead of it. A pass (grant.go) goes
// through the levels of priority from high to low and through the lines of each in one merged order (order.go); what does
// not fit may evict (preempt.go, evict.go), and the first that does not fit gets room kept (reserve.go).
//
// Started by: tree ("placer"). Owns: demands and the view; the nodes stay the authority and refuse what no longer
// fits, which corrects the view. Durable: nothing. Promises: work of a higher priority is looked at first; within one
// priority the queues' orders hold; no queue holds more than its share; nobody is evicted for an equal, nor beyond the
// disruption limit of a stage; what is kept for somebody is given or free again by a deadline. When full: its mailbox
// refuses; queues say their demands again. When restarted: asks all nodes for their views and all queues for their shares
// and demands, grants nothing before the views have come, and evicts nobody for a while after.
package placer
