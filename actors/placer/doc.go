// Package placer holds the actor that grants slots: it keeps the demands of all jobs and a columnar view of all nodes,
// grants what fits now, remembers the rest, and grants more when anything frees, without being asked again.
//
// Started by: tree ("placer"). Owns: demands and the view; the nodes stay the authority and refuse what no longer
// fits, which corrects the view. Durable: nothing. Promises: work of a higher priority is looked at first; within one
// priority jobs take turns. When full: its mailbox refuses; queues say their demands again. When restarted: asks all
// nodes for their views and all queues for their demands, and grants nothing before the views have come.
package placer
