package retry

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestF13_Delay(t *testing.T) {
	const s = time.Second
	const forever = time.Duration(math.MaxInt64)
	for _, tt := range []struct {
		initial, longest time.Duration
		failures         uint32
		draw             uint64
		want             time.Duration
	}{
		{s, time.Minute, 0, 0, 0},
		{s, time.Minute, 1, 0, s},
		{s, time.Minute, 2, 0, 2 * s},
		{s, time.Minute, 3, 0, 4 * s},
		{s, time.Minute, 6, 0, 32 * s},
		{s, time.Minute, 7, 0, time.Minute}, // 64 s is cut
		{s, time.Minute, 8, 0, time.Minute},
		{s, time.Minute, math.MaxUint32, 0, time.Minute},
		{s, s, 5, 0, s},
		{s, 0, 5, 0, s}, // a longest below initial counts as initial
		{s, -s, 5, 0, s},
		{0, s, 5, 7, 0},
		{-s, s, 5, 7, 0},
		{s, time.Minute, 1, uint64(s / 2), s / 2}, // the most that chance takes off
		{s, time.Minute, 1, uint64(s/2) + 1, s},   // and round again
		{s, time.Minute, 2, 1, 2*s - 1},
		{1, 1, 1, math.MaxUint64, 1},
		{3, 3, 1, 1, 2},
		{s, forever, 34, 0, s << 33},
		{s, forever, 35, 0, forever}, // doubling would overflow
		{s, forever, 100, 0, forever},
		{forever, forever, 9, 0, forever},
		{forever, forever, 9, 1<<62 - 1, forever/2 + 1},
	} {
		if got := Delay(tt.initial, tt.longest, tt.failures, tt.draw); got != tt.want {
			t.Errorf("Delay(%v, %v, %d, %d) = %v, want %v", tt.initial, tt.longest, tt.failures, tt.draw, got, tt.want)
		}
	}
}

// Whatever the numbers: the wait is between half of the doubled delay and all of it, and never above the longest.
func TestF13_DelayIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := time.Duration(rapid.Int64Range(1, math.MaxInt64).Draw(t, "initial"))
		longest := time.Duration(rapid.Int64().Draw(t, "longest"))
		failures, draw := rapid.Uint32Min(1).Draw(t, "failures"), rapid.Uint64().Draw(t, "draw")
		most := Delay(initial, longest, failures, 0)
		got := Delay(initial, longest, failures, draw)
		if most < initial || most > max(initial, longest) || got > most || got < most-most/2 {
			t.Errorf("most %v, got %v", most, got)
		}
		if failures < math.MaxUint32 && Delay(initial, longest, failures+1, 0) < most {
			t.Error("a further failure waits less")
		}
	})
}

func TestF13_Exhausted(t *testing.T) {
	for _, tt := range []struct {
		limit, failures uint32
		want            bool
	}{{0, 0, false}, {0, math.MaxUint32, false}, {3, 2, false}, {3, 3, true}, {3, 4, true}, {1, 0, false}, {1, 1, true}} {
		if got := Exhausted(tt.limit, tt.failures); got != tt.want {
			t.Errorf("Exhausted(%d, %d) = %v", tt.limit, tt.failures, got)
		}
	}
}
