package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// PlaceOptions of a run of placements.
type PlaceOptions struct {
	// Nodes are the sizes of the cells that are measured, one after the other.
	Nodes []int
	// Tasks are as many as are placed in each phase; 0 means ten a node, which is as many as fit.
	Tasks int
	// Score by name; empty for the default.
	Score string
	Seed  uint64
	// Ablate measures the first size again with each of the three ways to be fast switched off.
	Ablate bool
	// FilterWorkers, above 1, measures filtering of all nodes by that many workers, both ways of sharing the work.
	FilterWorkers int
}

// Place is what a run has shown: the first size of cell, the curve over all of them if there are several, and what was
// asked for beside.
type Place struct {
	PlaceRun
	Curve    []PlaceRun  `json:"curve,omitempty"`
	Ablation []PlaceRun  `json:"ablation,omitempty"`
	Filter   []FilterWay `json:"filter,omitempty"`
}

// PlaceRun is one cell, filled from empty and then kept at nine tenths while tasks end and others come.
type PlaceRun struct {
	Without string `json:"without,omitempty"`
	Score   string `json:"score"`
	Nodes   int    `json:"nodes"`
	Tasks   int    `json:"tasks"`
	Classes int    `json:"classes"`
	// PlacementsPerS is over both phases, by all the time that passes in them; PlacementsPerCPUS by the time of processors,
	// which other work on the machine does not lengthen. Both include what the measurement itself does.
	PlacementsPerS    float64    `json:"placements_per_s"`
	PlacementsPerCPUS float64    `json:"placements_per_cpu_s"`
	P50Us             float64    `json:"p50_us"`
	P99Us             float64    `json:"p99_us"`
	BytesPerNode      float64    `json:"bytes_per_node"`
	Fill              PlacePhase `json:"fill"`
	Churn             PlacePhase `json:"churn"`
	// Packed is the part held of the scarcer of CPU and memory when, as an empty cell is filled, one task of a hundred has
	// found no room.
	Packed float64 `json:"packed"`
}

// PlacePhase is one phase.
type PlacePhase struct {
	Placed         int     `json:"placed"`
	Refused        int     `json:"refused"`
	PlacementsPerS float64 `json:"placements_per_s"`
	P50Us          float64 `json:"p50_us"`
	P99Us          float64 `json:"p99_us"`
	// Utilisation of the scarcer of CPU and memory, at the end.
	Utilisation float64 `json:"utilisation"`
}

const (
	// churnAt is the utilisation at which a cell is kept.
	churnAt = 0.9
	// packedAt is how many tasks are placed for each one refused when a cell counts as packed, but at least leastRefused
	// are refused.
	packedAt     = 100
	leastRefused = 100
	// ablationLimit bounds a phase of an ablation: what was placed by then counts.
	ablationLimit = 10 * time.Second
)

// RunPlace measures placement alone: no actors, one goroutine, one task a decision.
func RunPlace(ctx context.Context, o PlaceOptions) (*Place, error) {
	p := &Place{}
	for i, nodes := range o.Nodes {
		if nodes < 1 || nodes > place.MaxNodes {
			return nil, fmt.Errorf("bench: %d nodes; a cell has 1 to %d", nodes, place.MaxNodes)
		}
		r, err := runPlace(ctx, o, nodes, "", place.Options{})
		if err != nil {
			return nil, err
		}
		if i == 0 {
			p.PlaceRun = *r
		}
		if len(o.Nodes) > 1 {
			p.Curve = append(p.Curve, *r)
		}
	}
	if o.Ablate {
		for _, a := range ablations() {
			r, err := runPlace(ctx, o, o.Nodes[0], a.without, a.options)
			if err != nil {
				return nil, err
			}
			p.Ablation = append(p.Ablation, *r)
		}
	}
	if o.FilterWorkers > 1 {
		var err error
		if p.Filter, err = filterWays(o.Seed, o.Nodes[0], o.FilterWorkers); err != nil {
			return nil, err
		}
	}
	return p, nil
}

type ablation struct {
	without string
	options place.Options
}

func ablations() []ablation {
	return []ablation{
		{"nothing", place.Options{}},
		{"score cache", place.Options{NoCache: true}},
		{"equivalence classes", place.Options{NoClasses: true}},
		{"randomisation", place.Options{NoChance: true}},
		{"randomisation and score cache", place.Options{NoChance: true, NoCache: true}},
		{"all three", place.Options{NoCache: true, NoClasses: true, NoChance: true}},
	}
}

func runPlace(ctx context.Context, o PlaceOptions, nodes int, without string, opt place.Options) (*PlaceRun, error) {
	r := &PlaceRun{Without: without, Score: o.Score, Nodes: nodes, Tasks: o.Tasks}
	if r.Tasks == 0 {
		r.Tasks = mixedOfNode * nodes
	}
	if r.Score == "" {
		r.Score = place.Hybrid
	}
	opt.Score, opt.Seed = o.Score, o.Seed
	before := heap()
	p := newCellRun(o.Seed, nodes, opt)
	if without != "" {
		p.limit = ablationLimit
	}
	fill, fillCPU := p.phase(ctx, &r.Fill, r.Tasks, func() bool { return p.utilisation() < churnAt })
	churn, churnCPU := p.phase(ctx, &r.Churn, r.Tasks, p.churn)
	placed := float64(r.Fill.Placed + r.Churn.Placed)
	r.PlacementsPerS = placed / (fill + churn)
	if cpu := fillCPU + churnCPU; cpu > 0 {
		r.PlacementsPerCPUS = placed / cpu
	}
	r.P50Us, r.P99Us = percentile(p.times, 50), percentile(p.times, 99)
	r.Classes = p.fleet.Classes()
	p.times = nil
	r.BytesPerNode = float64(heap()-before) / float64(nodes)
	runtime.KeepAlive(p)
	if without == "" {
		r.Packed = packed(ctx, o.Seed, nodes, opt)
	}
	return r, ctx.Err()
}

// packed fills another cell until too much is refused.
func packed(ctx context.Context, seed uint64, nodes int, opt place.Options) float64 {
	p := newCellRun(seed, nodes, opt)
	for p.not < max(leastRefused, p.placed/packedAt) && ctx.Err() == nil {
		p.step()
	}
	return p.utilisation()
}

// heap is the bytes in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// cellRun is one cell with the tasks that run in it.
type cellRun struct {
	*mixedCell
	fleet       *place.Fleet
	size, held  model.Resources
	jobs        []*benchWork // with tasks that wait
	running     []benchTask
	out         []place.Assignment
	times       []float64 // of all decisions that placed a task, in microseconds
	limit       time.Duration
	placed, not int
}

type benchWork struct {
	stage           *place.Stage
	waiting, placed int
}

type benchTask struct {
	work *benchWork
	node place.NodeIndex
}

// open is how many jobs take turns.
const open = 64

func newCellRun(seed uint64, nodes int, opt place.Options) *cellRun {
	m := newMixedCell(seed)
	p := &cellRun{mixedCell: m, fleet: m.fleet(nodes, opt)}
	p.size = p.fleet.Totals().Capacity
	return p
}

// phase runs up to so many steps, as long as before says that there is another, and reports the seconds that passed, and
// those of processors.
func (p *cellRun) phase(ctx context.Context, into *PlacePhase, steps int, before func() bool) (seconds, cpu float64) {
	from := len(p.times)
	p.placed, p.not = 0, 0
	start, cpu := time.Now(), cpuSeconds()
	for i := 0; i < steps && before(); i++ {
		p.step()
		if i%1024 == 0 && (ctx.Err() != nil || p.limit > 0 && time.Since(start) > p.limit) {
			break
		}
	}
	seconds, cpu = time.Since(start).Seconds(), cpuSeconds()-cpu
	into.Placed, into.Refused, into.PlacementsPerS = p.placed, p.not, float64(p.placed)/seconds
	into.P50Us, into.P99Us = percentile(p.times[from:], 50), percentile(p.times[from:], 99)
	into.Utilisation = p.utilisation()
	return seconds, cpu
}

// step places one task of one of the jobs that wait. A job that finds no room goes, with all its tasks that wait.
func (p *cellRun) step() bool {
	for len(p.jobs) < open {
		shape, tasks := p.job()
		p.jobs = append(p.jobs, &benchWork{stage: p.fleet.Stage(shape), waiting: tasks})
	}
	at := p.r.IntN(len(p.jobs))
	w := p.jobs[at]
	start := time.Now()
	p.out = p.fleet.Place(w.stage, place.Ask{Slots: 1}, p.out[:0])
	p.times = append(p.times, float64(time.Since(start).Nanoseconds())/1e3)
	if len(p.out) == 0 {
		p.not += w.waiting
		w.waiting = 0
	} else {
		p.placed++
		w.waiting--
		w.placed++
		p.held = p.held.Add(w.stage.Shape().Resources)
		p.running = append(p.running, benchTask{w, p.out[0].Node})
	}
	if w.waiting == 0 {
		p.jobs[at] = p.jobs[len(p.jobs)-1]
		p.jobs = p.jobs[:len(p.jobs)-1]
		p.leave(w)
	}
	return len(p.out) > 0
}

// churn ends tasks drawn by chance until there is room for others.
func (p *cellRun) churn() bool {
	for p.utilisation() >= churnAt && len(p.running) > 0 {
		i := p.r.IntN(len(p.running))
		t := p.running[i]
		p.running[i] = p.running[len(p.running)-1]
		p.running = p.running[:len(p.running)-1]
		each := t.work.stage.Shape().Resources
		p.fleet.Give(t.work.stage, t.node, place.Slots{Each: each, Count: 1})
		p.held = p.held.Sub(each)
		t.work.placed--
		p.leave(t.work)
	}
	return true
}

// leave ends the stage of a job that has nothing left.
func (p *cellRun) leave(w *benchWork) {
	if w.waiting == 0 && w.placed == 0 {
		p.fleet.End(w.stage)
	}
}

func (p *cellRun) utilisation() float64 {
	return max(float64(p.held[model.CPU])/float64(p.size[model.CPU]), float64(p.held[model.Memory])/float64(p.size[model.Memory]))
}
