package trace

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestS27_SpreadOfValues(t *testing.T) {
	var values []float64
	for i := range 200 {
		values = append(values, float64((i*37)%200+1)) // 1 to 200, in some order
	}
	if s := spreadOf(values); s != (Spread{Mean: 100.5, P50: 100, P95: 190, P99: 198, Max: 200}) {
		t.Errorf("%+v", s)
	}
	if s := spreadOf(nil); s != (Spread{}) {
		t.Errorf("%+v", s)
	}
	if s := spreadOf([]float64{7}); s != (Spread{7, 7, 7, 7, 7}) {
		t.Errorf("%+v", s)
	}
}

func TestS27_BoundedSlowdownCountsRunsOfLessThanTenSecondsAsTen(t *testing.T) {
	for _, c := range []struct {
		flow, run time.Duration
		want      float64
	}{{time.Second, time.Second, 1}, {20 * time.Second, time.Second, 2}, {0, 0, 1}, {90 * time.Second, 30 * time.Second, 3}} {
		if got := boundedSlowdown(c.flow, c.run); got != c.want {
			t.Errorf("flow %v, run %v: %v", c.flow, c.run, got)
		}
	}
}

// The times of a workload that can be reckoned by hand: one core, three jobs of a minute.
func TestS27_WaitsAreThoseOfAQueueInFrontOfOneMachine(t *testing.T) {
	w := &Workload{Nodes: []*v1.NodeInfo{{Id: "n", CpuMilli: 1000, MemoryBytes: 1 << 30, Drivers: []string{"process"}}}}
	for _, name := range []string{"a", "b", "c"} {
		w.Jobs = append(w.Jobs, Job{At: 10 * time.Second, Run: time.Minute, Spec: batch(name, 1, "1m")})
	}
	w.Jobs[2].At = 40 * time.Second
	r := play(t, w, Options{})
	if a := r.All; a.Wait != (Spread{Mean: 50, P50: 60, P95: 90, P99: 90, Max: 90}) || a.Flow.Mean != 110 || a.Slowdown.Max != 2.5 {
		t.Errorf("%+v", a)
	}
	if cpu := r.Resources[0]; r.SpanS != 180 || cpu.Used != 1 || cpu.Peak != 1 || cpu.End != 0 {
		t.Errorf("%+v over %v s", cpu, r.SpanS)
	}
}

// Work of a higher priority takes the room of lower work, which waits again; both is told, with the rule.
func TestB39_EvictionsAreCountedByRuleAndByQueue(t *testing.T) {
	w := &Workload{Nodes: []*v1.NodeInfo{{Id: "n", CpuMilli: 4000, MemoryBytes: 8 << 30, Drivers: []string{"process"}}}}
	low, high := batch("low", 4, "10m"), batch("high", 3, "10m")
	low.Band, high.Band, high.Queue = "free", "production", "web"
	w.Jobs = []Job{{At: 0, Run: 10 * time.Minute, Spec: low}, {At: time.Minute, Run: 10 * time.Minute, Spec: high}}
	r := play(t, w, Options{})
	if r.Evictions["priority"] != 3 || r.All.Evicted != 3 || r.All.LostS < 180 || r.All.LostS > 183 || r.All.Ended != 7 || r.All.Waiting != 0 {
		t.Errorf("evictions %v, all %+v", r.Evictions, r.All)
	}
	if q := r.Queues[0]; q.Queue != "default" || q.Evicted != 3 {
		t.Errorf("%+v", q)
	}
	// Three of the low ones begin anew when the high ones have ended after eleven minutes, and take ten more.
	if q := r.Queues[1]; q.Queue != "web" || q.Wait.Max > 1 || r.SpanS < 1260 || r.SpanS > 1275 {
		t.Errorf("%+v over %v s", q, r.SpanS)
	}
}

// drawMachines draws machines and what they hold, so that nothing holds too much.
func drawMachines(rng *rand.Rand) ([]machine, []shape, []placed) {
	shapes := make([]shape, 2+rng.IntN(4))
	for i := range shapes {
		s := &shapes[i]
		s.size[model.CPU], s.size[model.Memory] = 100+rng.Int64N(900), 1+rng.Int64N(8)
		s.service, s.wanted = rng.IntN(2) == 0, 1+rng.Int64N(5)
		if s.count = rng.Int64N(3); s.count > 0 {
			if s.milli = model.WholeDevice; s.count == 1 {
				s.milli = 250 * (1 + rng.Int64N(4))
			}
			s.size[devices] = s.count * s.milli
		}
	}
	machines := make([]machine, 1+rng.IntN(5))
	var held []placed
	for i := range machines {
		m := &machines[i]
		m.info = &v1.NodeInfo{}
		m.size[model.CPU], m.size[model.Memory] = 1000+rng.Int64N(3000), 8+rng.Int64N(24)
		for range rng.IntN(4) {
			m.info.Devices = append(m.info.Devices, &v1.Device{Kind: deviceKind, Model: "M"})
			m.left = append(m.left, model.WholeDevice)
			m.size[devices] += model.WholeDevice
		}
		m.free = m.size
		for range rng.IntN(6) {
			k := rng.IntN(len(shapes))
			if n, _ := m.free.short(shapes[k].size); n > 0 || !takeDevices(m, &shapes[k]) {
				continue
			}
			m.free = m.free.sub(shapes[k].size)
			held = append(held, placed{int32(i), int32(k)})
		}
	}
	return machines, shapes, held
}

func takeDevices(m *machine, s *shape) bool {
	var on []int
	for d, left := range m.left {
		if int64(left) >= s.milli && len(on) < int(s.count) {
			on = append(on, d)
		}
	}
	if len(on) < int(s.count) {
		return false
	}
	for _, d := range on {
		m.left[d] -= int32(s.milli)
	}
	return true
}

// Packing is held against sums that are taken one slot, one device at a time.
func TestB48_PackingIsWhatOneCountsByHand(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		machines, shapes, held := drawMachines(rng)
		mean := shapes[0].size
		p := packing(machines, shapes, held, mean)
		used, shared := 0, 0
		total, stranded, useless, wanted := 0.0, 0.0, 0.0, 0.0
		for i := range machines {
			services, batch := 0, 0
			for _, h := range held {
				if int(h.node) == i && shapes[h.shape].service {
					services++
				} else if int(h.node) == i {
					batch++
				}
			}
			if services+batch > 0 {
				used++
			}
			if services > 0 && batch > 0 {
				shared++
			}
			m := &machines[i]
			total += float64(m.size[model.CPU])
			if m.free[model.Memory] < mean[model.Memory] || mean[devices] > 0 && m.free[devices] < mean[devices] {
				stranded += float64(m.free[model.CPU])
			}
		}
		if p.Used != used || p.Shared != shared || math.Abs(p.Stranded["cpu"]-stranded/total) > 1e-9 {
			t.Fatalf("%+v: %d used, %d shared, %v stranded", p, used, shared, stranded/total)
		}
		capacity := 0.0
		for i := range machines {
			capacity += float64(machines[i].size[devices])
		}
		for _, s := range shapes {
			if s.count == 0 {
				continue
			}
			wanted += float64(s.wanted)
			for i := range machines {
				m := &machines[i]
				fitting := 0
				for _, left := range m.left {
					if int64(left) >= s.milli {
						fitting++
					}
				}
				can := int64(fitting) >= s.count && m.free[model.CPU] >= s.size[model.CPU] && m.free[model.Memory] >= s.size[model.Memory]
				for _, left := range m.left {
					if !can || int64(left) < s.milli {
						useless += float64(left) * float64(s.wanted)
					}
				}
			}
		}
		want := 0.0
		if wanted > 0 && capacity > 0 {
			want = useless / wanted / capacity
		}
		if math.Abs(p.Fragmented-want) > 1e-9 {
			t.Fatalf("fragmented %v, want %v", p.Fragmented, want)
		}
	}
}

func TestB48_SharingNodesSavesThoseThatTwoHalvesNeed(t *testing.T) {
	machines := make([]machine, 4)
	for i := range machines {
		machines[i].info = &v1.NodeInfo{}
		machines[i].size[model.CPU] = 1000
	}
	shapes := []shape{{service: true, size: amount{600}}, {size: amount{400}}}
	var held []placed
	for i := range int32(2) {
		held = append(held, placed{i, 0}, placed{i, 1})
	}
	for _, h := range held {
		machines[h.node].free = machines[h.node].size.sub(amount{1000})
	}
	// Together two machines do; apart the services need two, and the batch work another.
	if p := packing(machines, shapes, held, amount{500}); p.Used != 2 || p.Shared != 2 || p.Saved != 1 || p.PerNode.Mean != 2 {
		t.Errorf("%+v", p)
	}
}

func TestS27_ThePictureIsWellFormed(t *testing.T) {
	r := play(t, made(t, MakeOptions{Nodes: 5, Jobs: 100, Seed: 3}), Options{})
	for _, arrived := range []bool{false, true} {
		var out bytes.Buffer
		if err := r.Picture(&out, `a <b> & "c"`, arrived); err != nil {
			t.Fatal(err)
		}
		paths, d := 0, xml.NewDecoder(&out)
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
				paths++
			}
		}
		if paths < len(r.Resources)+2 {
			t.Errorf("%d lines", paths)
		}
	}
}

func TestS27_TheCurveIsBoundedAndEndsAtTheEnd(t *testing.T) {
	rec := newRecorder(nil, birth)
	for i := range 10 * pointsMax {
		rec.sample(birth.Add(time.Duration(i)*time.Second), nil)
	}
	if n := len(rec.points); n > pointsMax || n < pointsMax/4 {
		t.Errorf("%d points", n)
	}
	for i := 1; i < len(rec.points); i++ {
		if rec.points[i].AtS <= rec.points[i-1].AtS {
			t.Fatal("the curve goes back")
		}
	}
}
