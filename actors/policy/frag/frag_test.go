package frag

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Amounts in tests are few, so that they meet.
var (
	millis = rapid.SampledFrom([]int16{1, 250, 300, 500, 750, 999, Whole})
	cpus   = rapid.SampledFrom([]int64{0, 500, 4000, 8000, 16000, 64000})
)

func drawNode(t *rapid.T) Node {
	n := Node{
		CPU: cpus.Draw(t, "cpu"), Memory: cpus.Draw(t, "memory"),
		Devices: rapid.Int8Range(0, MaxDevices).Draw(t, "devices"), Model: Model(rapid.IntRange(0, 3).Draw(t, "model")),
	}
	for i := range n.Free[:n.Devices] {
		n.Free[i] = rapid.SampledFrom([]int16{0, 1, 250, 499, 500, 700, Whole, Whole}).Draw(t, "free")
	}
	return n
}

func drawDemand(t *rapid.T) Demand {
	d := Demand{
		CPU: cpus.Draw(t, "cpu"), Memory: cpus.Draw(t, "memory"),
		Models: ModelSet(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 6, 9}).Draw(t, "models")),
	}
	if d.Devices = rapid.SampledFrom([]int8{0, 1, 1, 1, 2, 4, 8}).Draw(t, "devices"); d.Devices > 0 {
		d.Milli = millis.Draw(t, "milli")
	}
	return d
}

func drawShapes(t *rapid.T) []Shape {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Shape {
		return Shape{drawDemand(t), rapid.Int64Range(0, 1000).Draw(t, "weight")}
	}), 0, 12).Draw(t, "shapes")
}

// plainUnusable is the definition: for every shape, all that is left if it cannot run there, otherwise what is left on
// devices that have too little.
func plainUnusable(shapes []Shape, n *Node) int64 {
	sum := int64(0)
	for _, s := range shapes {
		enough, short, all := 0, int64(0), int64(0)
		for _, free := range n.Free[:n.Devices] {
			all += int64(free)
			if free >= s.Milli {
				enough++
			} else {
				short += int64(free)
			}
		}
		runs := s.Devices > 0 && s.CPU <= n.CPU && s.Models.Admits(n.Model) &&
			enough >= int(s.Devices)
		if runs {
			sum += s.Weight * short
		} else {
			sum += s.Weight * all
		}
	}
	return sum
}

func TestB23_FragmentationIsTheExpectationOfWhatNoShapeCanUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shapes := drawShapes(t)
		w, err := NewWorkload(shapes, 0)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			n := drawNode(t)
			want := plainUnusable(shapes, &n)
			if got := w.Fragmentation(&n); got != want {
				t.Fatalf("%+v: %d, want %d", n, got, want)
			}
			study := newStudy(w)
			if got := study.unusable(&n) * float64(max(w.Weight(), 1)); math.Abs(got-float64(want)) > 1e-6*float64(max(want, 1)) {
				t.Fatalf("%+v: %f in the study's sums, want %d", n, got, want)
			}
		}
	})
}

func TestB22_EveryRuleChoosesDevicesThatTheDemandFitsOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, err := NewWorkload(drawShapes(t), 0)
		if err != nil {
			t.Fatal(err)
		}
		largest := Node{CPU: 64000, Devices: MaxDevices}
		for rule := BestFit; int(rule) < len(ruleNames); rule++ {
			n, d := drawNode(t), drawDemand(t)
			choice, fits := NewScorer(rule, w, largest).Score(&n, &d)
			if fits != plainFits(&n, &d) {
				t.Fatalf("%s: %+v on %+v: fits is %v", rule, d, n, fits)
			}
			if !fits {
				continue
			}
			if choice.Score < 0 || choice.Score > rule.Top() {
				t.Fatalf("%s: score %d", rule, choice.Score)
			}
			before := n
			n.Take(&d, choice.Devices)
			if choice.Devices.Len() != int(d.Devices) || n.CPU < 0 || n.Memory < 0 {
				t.Fatalf("%s: %+v takes devices %b", rule, d, choice.Devices)
			}
			for _, free := range n.Free {
				if free < 0 {
					t.Fatalf("%s: %+v takes devices %b of %+v", rule, d, choice.Devices, before)
				}
			}
			if n.Give(&d, choice.Devices); n != before {
				t.Fatalf("%s: %+v after giving back, %+v before", rule, n, before)
			}
		}
	})
}

func plainFits(n *Node, d *Demand) bool {
	enough := int8(0)
	for _, free := range n.Free[:n.Devices] {
		if free >= d.Milli {
			enough++
		}
	}
	if n.CPU < d.CPU || n.Memory < d.Memory {
		return false
	}
	return d.Devices == 0 || enough >= d.Devices && (d.Models == 0 || d.Models>>n.Model&1 == 1)
}

func TestNewWorkload_NamesTheFieldThatIsWrong(t *testing.T) {
	for want, s := range map[string]Shape{
		"shapes[0]: CPU and Memory cannot be negative":           {Demand: Demand{CPU: -1}},
		"shapes[0].Devices is 17, it must be 0 to 16":            {Demand: Demand{Devices: 17, Milli: 1}},
		"shapes[0].Milli is 1001, it must be 1 to 1000":          {Demand: Demand{Devices: 1, Milli: 1001}},
		"shapes[0].Weight is -1, it must be 0 to 16777216":       {Weight: -1},
		"shapes[0].Weight is 16777217, it must be 0 to 16777216": {Weight: MaxWeight + 1},
	} {
		if _, err := NewWorkload([]Shape{s}, 0); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %s", s, err, want)
		}
	}
	if _, err := NewWorkload(make([]Shape, MaxShapes+1), 0); err == nil {
		t.Error("too many shapes are taken")
	}
}

func BenchmarkScore(b *testing.B) {
	var shapes []Shape
	for i := range int64(90) {
		shapes = append(shapes, Shape{Demand{CPU: 500 * (1 + i%17), Devices: 1, Milli: int16(40 + 960*(i%31)/30)}, 1 + i%7})
	}
	n := Node{CPU: 64000, Devices: 8, Free: [MaxDevices]int16{1000, 1000, 540, 300, 1000, 20, 700, 0}}
	for rule := BestFit; int(rule) < len(ruleNames); rule++ {
		b.Run(rule.String(), func(b *testing.B) {
			w, err := NewWorkload(shapes, 0)
			if err != nil {
				b.Fatal(err)
			}
			s, d := NewScorer(rule, w, Node{CPU: 96000, Devices: 8}), Demand{CPU: 4000, Devices: 1, Milli: 250}
			b.ReportAllocs()
			for b.Loop() {
				if _, fits := s.Score(&n, &d); !fits {
					b.Fatal("it does not fit")
				}
			}
		})
	}
}
