package api

import (
	"sync/atomic"

	"github.com/troupe-sched/troupe/actors/model"
)

// Counts is what one endpoint has done since the service began; it stands in the data of the service's STATS too.
type Counts struct {
	Requests uint64 `json:"requests"`
	InFlight int64  `json:"in_flight"`
	// Refused requests were the caller's mistake, Busy ones came at a limit, Failed ones were not.
	Refused uint64 `json:"refused"`
	Busy    uint64 `json:"busy"`
	Failed  uint64 `json:"failed"`
	// Mute requests had no reply subject, or one that must not be written to; nothing was done for them.
	Mute uint64 `json:"mute"`
	// Unsent answers did not leave this process.
	Unsent uint64 `json:"unsent"`
}

type counts struct {
	requests, refused, busy, failed, mute, unsent atomic.Uint64
	inFlight                                      atomic.Int64
}

func (c *counts) refuse(f *model.Fault) {
	switch {
	case f.Err == model.ErrBusy:
		c.busy.Add(1)
	case f.Code < 500:
		c.refused.Add(1)
	default:
		c.failed.Add(1)
	}
}

func (c *counts) snapshot() Counts {
	return Counts{
		Requests: c.requests.Load(), InFlight: c.inFlight.Load(), Refused: c.refused.Load(), Busy: c.busy.Load(),
		Failed: c.failed.Load(), Mute: c.mute.Load(), Unsent: c.unsent.Load(),
	}
}
