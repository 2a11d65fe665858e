package bench

import "testing"

func TestB6_B17_TheWaveEvictsAsManyAsItNeeds(t *testing.T) {
	p, err := RunPreempt(t.Context(), PreemptOptions{Nodes: 20, SlotsPerNode: 4, Wave: 70, Jobs: 3, Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.Evicted != 70 || p.Seconds <= 0 {
		t.Errorf("%+v", p)
	}
	if _, err := RunPreempt(t.Context(), PreemptOptions{Nodes: 2, SlotsPerNode: 4, Wave: 9, Jobs: 1, Memory: true}); err == nil {
		t.Error("a wave greater than the cell is taken")
	}
}
