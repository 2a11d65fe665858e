package trace

import (
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// ailment is what is wrong with a machine; the zero value is a sound one.
type ailment struct {
	// down: it is silent, and nothing that ran there ever ends.
	down bool
	// fails is how soon every attempt there fails; 0 if they do not.
	fails time.Duration
	// slower says in how many times the time everything takes there; 0 and 1 are as usual.
	slower int
}

// takes is how long an attempt runs here that would take d elsewhere.
func (a ailment) takes(d time.Duration) time.Duration {
	switch {
	case d < 0:
		return d
	case a.fails > 0:
		return min(d, a.fails)
	}
	return d * time.Duration(max(a.slower, 1))
}

// outcome is how an attempt ends here.
func (a ailment) outcome() (phase v1.AttemptPhase, reason string) {
	if a.fails > 0 {
		return v1.AttemptPhase_ATTEMPT_PHASE_FAILED, "exit code 1"
	}
	return v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED, ""
}
