package trace

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

// Report is what became of a workload. Times are in seconds of the workload, shares in parts of one.
type Report struct {
	Policy string `json:"policy,omitempty"`
	Seed   uint64 `json:"seed"`
	Nodes  int    `json:"nodes"`
	// Left is how many jobs of the source cannot be played: they have no run time, or ask for more than there is.
	Left int `json:"left_out"`
	// SpanS is the time from the first arrival to the last end, or to when nothing more happened.
	SpanS float64 `json:"span_s"`
	// Resources that the machines have.
	Resources []Allocation `json:"resources"`
	// Packing is how the machines were used at the fullest moment.
	Packing Packing   `json:"packing"`
	All     Figures   `json:"all"`
	Queues  []Figures `json:"queues"`
	// Evictions by the rule that demanded them.
	Evictions map[string]uint64 `json:"evictions"`
	Curve     []Point           `json:"curve"`
	// ByDemand is, of a workload that is tried once, what was given of the scarcest resource in percent of its capacity,
	// when so many percent of it had been asked for: the curve of the published study.
	ByDemand []float64 `json:"by_demand,omitempty"`
	// Steps is how many messages the actors handled.
	Steps uint64 `json:"steps"`
}

// Allocation of one resource over the whole cell, in parts of its capacity.
type Allocation struct {
	Name     string `json:"name"`
	Capacity int64  `json:"capacity"`
	// Peak is the most that was held, End what was held at the end, Used the mean over time.
	Peak float64 `json:"peak"`
	End  float64 `json:"end"`
	Used float64 `json:"used"`
}

// Figures are about the jobs of one queue, or of all.
type Figures struct {
	Queue     string `json:"queue,omitempty"`
	Jobs      int    `json:"jobs"`
	Instances uint64 `json:"instances"`
	// Begun and Ended count instances; Waiting are those that had no place at the end.
	Begun   uint64 `json:"begun"`
	Ended   uint64 `json:"ended"`
	Waiting uint64 `json:"waiting"`
	// Evicted counts attempts that were ended for somebody else.
	Evicted uint64 `json:"evicted"`
	// LostS is how long those had run, for nothing.
	LostS float64 `json:"lost_s"`
	// Wait is from the arrival to the first begin, Flow from the arrival to the end.
	Wait Spread `json:"wait_s"`
	Flow Spread `json:"flow_s"`
	// Slowdown is flow over run, both of at least ten seconds as it were: max(1, flow / max(10 s, run)) (Feitelson).
	Slowdown Spread `json:"bounded_slowdown"`
}

// Spread says how values are spread. All are 0 if there is none.
type Spread struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Point of the curve.
type Point struct {
	AtS float64 `json:"at_s"`
	// Arrived is what has arrived so far of the scarcest resource, in parts of its capacity.
	Arrived float64 `json:"arrived"`
	// Held is what is held of each resource, in the order of Report.Resources.
	Held    []float64 `json:"held"`
	Running uint64    `json:"running"`
	Waiting uint64    `json:"waiting"`
}

// slowdownFloor keeps jobs of no length from weighing more than all others.
const slowdownFloor = 10 * time.Second

// boundedSlowdown of one instance.
func boundedSlowdown(flow, run time.Duration) float64 {
	return max(1, flow.Seconds()/max(run, slowdownFloor).Seconds())
}

// spreadOf sorts values and says how they are spread. Percentiles are the least value that so many do not exceed.
func spreadOf(values []float64) Spread {
	n := len(values)
	if n == 0 {
		return Spread{}
	}
	slices.Sort(values)
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	at := func(p float64) float64 { return values[max(int(math.Ceil(p*float64(n)))-1, 0)] }
	return Spread{Mean: sum / float64(n), P50: at(0.5), P95: at(0.95), P99: at(0.99), Max: values[n-1]}
}

// report counts what was written down until now.
func (r *recorder) report(now time.Time) *Report {
	r.advance(now)
	rep := &Report{Evictions: map[string]uint64{}}
	last, first := time.Duration(0), time.Duration(math.MaxInt64)
	for i := range r.jobs {
		first = min(first, r.jobs[i].at)
		last = max(last, r.jobs[i].at)
	}
	for i := range r.tries {
		last = max(last, r.tries[i].begun, r.tries[i].ended)
	}
	span := (last - first).Seconds()
	rep.SpanS = span
	for _, d := range r.dims {
		c := float64(max(r.capacity[d], 1))
		a := Allocation{Name: amountNames[d], Capacity: r.capacity[d], Peak: float64(r.peak[d]) / c, End: float64(r.held[d]) / c}
		if span > 0 {
			a.Used = min(r.area[d]/span/c, 1)
		}
		rep.Resources = append(rep.Resources, a)
	}
	rep.All = r.figures("", func(*jobRecord) bool { return true })
	for i, name := range r.queues {
		rep.Queues = append(rep.Queues, r.figures(name, func(j *jobRecord) bool { return j.queue == int32(i) }))
	}
	slices.SortFunc(rep.Queues, func(a, b Figures) int { return cmp.Compare(a.Queue, b.Queue) })
	rep.Curve = append(slices.Clone(r.points), r.point(now))
	rep.ByDemand = r.byDemand()
	return rep
}

// figures of the jobs that count.
func (r *recorder) figures(queue string, counts func(*jobRecord) bool) Figures {
	f := Figures{Queue: queue}
	var wait, flow, slowdown []float64
	for i := range r.jobs {
		j := &r.jobs[i]
		if !counts(j) {
			continue
		}
		if j.stage == 0 {
			f.Jobs++
		}
		for _, t := range r.triesOf(j) {
			if t.settled {
				continue
			}
			f.Instances++
			f.Evicted += uint64(t.evicted)
			f.LostS += t.lost.Seconds()
			if t.ended < 0 && !t.running {
				f.Waiting++
			}
			if t.begun < 0 {
				continue
			}
			f.Begun++
			wait = append(wait, (t.begun - j.at).Seconds())
			if t.ended < 0 {
				continue
			}
			f.Ended++
			flow = append(flow, (t.ended - j.at).Seconds())
			slowdown = append(slowdown, boundedSlowdown(t.ended-j.at, j.run))
		}
	}
	f.Wait, f.Flow, f.Slowdown = spreadOf(wait), spreadOf(flow), spreadOf(slowdown)
	return f
}

// packing measures the fullest moment.
func (r *recorder) packing(list []*agent) Packing {
	machines := make([]machine, len(list))
	for i, a := range list {
		m := &machines[i]
		if m.info = a.info; !a.gone {
			m.size = capacityOf(a.info)
		}
		m.free = m.size
		if !a.gone {
			m.left = make([]int32, len(a.devices))
		}
		for d := range m.left {
			m.left[d] = model.WholeDevice
			if i < len(r.fullest.devices) {
				m.left[d] -= r.fullest.devices[i][d]
			}
		}
	}
	for _, h := range r.fullest.held {
		machines[h.node].free = machines[h.node].free.sub(r.shapes[h.shape].size)
	}
	p := packing(machines, r.shapes, r.fullest.held, r.mean)
	p.AtS = r.since(r.fullest.at).Seconds()
	return p
}
