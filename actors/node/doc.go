// Package node holds the actor of one machine and the supervisor of all machines.
//
// Started by: tree ("nodes"); the supervisor starts one child a node, for those the cell knows when a master begins
// and for others when their agent says Hello. Owns: what the node holds (slots, with their ports, devices and custom
// units) and the session with its agent; it is the authority that the placer's view follows, and refuses what no longer
// fits. The supervisor owns how many nodes may be out at once. Durable: that the node exists, its info, drain and the
// taints of operators, through the journal. Promises: never holds more than the node has; every command reaches the agent
// once, in order, within a session; what the agent says reaches the job that it concerns. When full: a session whose
// outbox is full begins anew. When restarted: asks the agent for a new session, and tells all jobs and the placer what it
// found.
package node
