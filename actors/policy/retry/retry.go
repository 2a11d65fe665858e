// Package retry says when a failed attempt is tried again, and where not. It is pure: chance comes in as a number.
package retry

import "time"

// Delay is how long to wait after so many failures in a row: nothing after none, initial after the first, twice as
// much after each further one, at most longest. Up to half of it is taken off by draw, any number, so that what failed
// together does not return together. A longest below initial counts as initial; what is not positive waits not at all.
func Delay(initial, longest time.Duration, failures uint32, draw uint64) time.Duration {
	if failures == 0 || initial <= 0 {
		return 0
	}
	longest = max(longest, initial)
	delay := initial
	for n := uint32(1); n < failures && delay < longest; n++ {
		if delay > longest/2 { // doubling would pass it, or overflow
			delay = longest
			break
		}
		delay *= 2
	}
	return delay - time.Duration(draw%(uint64(delay)/2+1))
}

// Exhausted reports whether an instance that failed so often has used up its attempts; a limit of 0 is none.
func Exhausted(limit, failures uint32) bool { return limit > 0 && failures >= limit }
