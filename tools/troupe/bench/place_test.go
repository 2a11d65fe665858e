package bench

import "testing"

// TestB27_PlaceMeasuresEveryWay runs the measurement small: all ways decide, fill to nine tenths and stay there.
func TestB27_PlaceMeasuresEveryWay(t *testing.T) {
	r, err := RunPlace(t.Context(), PlaceOptions{Nodes: []int{300, 400}, Seed: 3, Ablate: true, FilterWorkers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Curve) != 2 || len(r.Ablation) != len(ablations()) || len(r.Filter) != 5 {
		t.Fatalf("%d sizes, %d ablations, %d ways to filter", len(r.Curve), len(r.Ablation), len(r.Filter))
	}
	for _, c := range append(r.Curve, r.Ablation...) {
		if c.Churn.Placed < 1000 || c.Churn.Utilisation < 0.85 || c.Churn.Utilisation > 0.95 || c.Classes < 100 {
			t.Errorf("%+v", c)
		}
	}
	if r.Packed < 0.75 {
		t.Errorf("a mixed cell is full at %.3f", r.Packed)
	}
	if _, err := RunPlace(t.Context(), PlaceOptions{Nodes: []int{0}}); err == nil {
		t.Error("a cell without nodes")
	}
}
