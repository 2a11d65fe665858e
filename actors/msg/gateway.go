package msg

import v1 "github.com/troupe-sched/troupe/protos/v1"

// Request is one call of a client, as the API has it: the gateway validates it and sends it where it belongs, in the
// caller's name; the answer comes from there.
type Request struct {
	// Call is one of: *v1.SubmitRequest, *v1.StopRequest, *v1.JobRef (status), *v1.ExplainRequest,
	// *v1.ResultsRequest, *v1.LogsRequest (answered by *v1.LogPlace), *v1.LookupRequest, *v1.ListJobsRequest,
	// *v1.QueueSpec (set), *v1.QueueRef (status), *v1.ListQueuesRequest, *RemoveQueue, *v1.NodeRef (status),
	// *v1.ListNodesRequest, *v1.DrainRequest, *v1.CellStatusRequest.
	Call any
	// Sure: the journal has shown that this master leads; the gateway sets it on a read that has waited for that.
	Sure bool
}

// Backlog tells the gateway how much waits in the journal to become durable; sent when it crosses an eighth of the
// limit, up or down, and when the store becomes full or has room again.
type Backlog struct {
	Bytes int64
	// Full: the store takes nothing now, for that Reason. Nothing of what waits is lost. It is said again while it lasts.
	Full   bool
	Reason string
}

// Nodes tells the gateway how far the master knows its nodes; sent when that changes, at most once a second.
type Nodes struct {
	// Awaited have not said yet what they hold since this master began.
	Awaited int
	// LostWaiting are lost and wait for their turn to be placed elsewhere.
	LostWaiting int
	// Isolated: so many fell silent together that it is likely this master that is cut off. Reason says how many.
	Isolated bool
	Reason   string
}

// CellFacts is a *v1.CellStatus in the making: it passes through the actors that know parts of it, placer and then
// journal, which answers the asker.
type CellFacts struct{ Status *v1.CellStatus }
