package sim

import (
	"testing"
	"time"
)

// TestTheClocksOfProcesses: a reading has the date that it was given, and differences are those of the steady clock.
func TestTheClocksOfProcesses(t *testing.T) {
	a := reading(birth, time.Second)
	b := reading(birth.Add(-time.Hour+5), 3*time.Second)
	if d := b.Sub(a); d != 2*time.Second || !b.After(a) || !a.Before(b) || a.Equal(b) {
		t.Errorf("the difference is %v", d)
	}
	if !a.Round(0).Equal(birth) || a.UnixNano() != birth.UnixNano() || b.UnixNano() != birth.Add(-time.Hour+5).UnixNano() {
		t.Errorf("the dates are %v and %v", a, b)
	}
	if c := a.Add(time.Minute); c.Sub(a) != time.Minute || c.UnixNano() != birth.Add(time.Minute).UnixNano() {
		t.Errorf("a minute later it is %v", c)
	}
}
