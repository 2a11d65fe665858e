package place

import (
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

func TestB6_PlaceOnBooksWhatFitsOnThatNodeAlone(t *testing.T) {
	f := NewFleet(Options{})
	a := f.Put("a", Node{Capacity: model.Resources{1000, 1000}, Drivers: []string{"process"}})
	b := f.Put("b", Node{Capacity: model.Resources{1000, 1000}})
	s := f.Stage(Shape{Resources: model.Resources{300, 100}, Driver: "process"})
	if got := f.PlaceOn(s, b, 2); got.Count != 0 || f.Admits(s, b) {
		t.Errorf("%d slots on a node without the driver", got.Count)
	}
	if got := f.PlaceOn(s, a, 2); got.Count != 2 || f.Free(a)[model.CPU] != 400 || s.Held(a) != 2 {
		t.Errorf("booked %+v, %v are free", got, f.Free(a))
	}
	if got := f.PlaceOn(s, a, 2); got.Count != 1 || !f.Admits(s, a) {
		t.Errorf("booked %+v where one more fits", got)
	}
	if got := f.PlaceOn(s, 77, 2); got.Count != 0 || f.Admits(s, 77) {
		t.Errorf("booked %+v on no node", got)
	}
	if f.Remove("a"); f.Admits(s, a) {
		t.Error("a node that is gone admits slots")
	}
}
