package model

import "time"

// Mark says as of when an answer from the hard state of one master is.
type Mark struct {
	// Master answered, from the records up to Seq; Epoch is that of the last of them.
	Master     string
	Epoch, Seq uint64
	// Lag is how many records more the leader is known to have.
	Lag uint64
	// Age is how long ago the master last knew that it lacked nothing: the answer is at most so old. Negative if it has
	// never known.
	Age time.Duration
}
