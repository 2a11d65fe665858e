package msg

import (
	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Register tells names where the running instances of a job are: all of them; none ends the entry.
type Register struct {
	ID        model.JobID
	UID       model.UID
	Endpoints []Endpoint
}

// Endpoint is one running instance.
type Endpoint struct {
	Stage string
	Index uint64
	Node  model.NodeID
	Fence model.Fence
}

// Lookup is answered by *v1.LookupReply.
type Lookup struct{ Request *v1.LookupRequest }
