package msg

import "github.com/troupe-sched/troupe/actors/kit"

// Find asks the supervisor of queues, jobs or nodes for the address of one of its children; answered by Found.
// Key is the queue's name, "queue/name" of the job, or the node's id.
type Find struct{ Key string }

// Found answers Find; Ref is nil if there is none.
type Found struct{ Ref kit.Ref }
