package bench

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// FilterWay is one way to ask all filters of a stage about all nodes.
type FilterWay struct {
	// Split says what the workers share: "nothing", "nodes" in portions of Grain, or "filters".
	Split   string `json:"split"`
	Workers int    `json:"workers"`
	Grain   int    `json:"grain,omitempty"`
	// Us is the median time of one round, of which HandOverUs passes when the workers are given nothing to do.
	Us         float64 `json:"us"`
	HandOverUs float64 `json:"hand_over_us"`
	// Ratio to one worker; below 1 is slower.
	Ratio    float64 `json:"ratio"`
	Admitted int     `json:"admitted"`
}

// filterRounds is how often each way is tried.
const filterRounds = 200

// filterWays measures them all on one half full cell, with the stage of the most constraints.
func filterWays(seed uint64, nodes, workers int) ([]FilterWay, error) {
	p := newCellRun(seed, nodes, place.Options{})
	for p.utilisation() < 0.5 {
		p.step()
	}
	shape := slices.MaxFunc(p.shapes, func(a, b place.Shape) int { return len(a.Constraints) - len(b.Constraints) })
	shape.Resources = model.Resources{16_000, 32 << 30, 0, 0}
	stage := p.fleet.Stage(shape)
	chain := p.fleet.Chain(stage)
	one := measureWay(FilterWay{Split: "nothing", Workers: 1}, nodes, func(admitted []uint64, idle bool) {
		if !idle {
			p.fleet.Screen(stage, nil, 0, place.NodeIndex(nodes), admitted)
		}
	})
	list := []FilterWay{one}
	for _, grain := range []int{64, 512, 4096} {
		list = append(list, measureWay(FilterWay{Split: "nodes", Workers: workers, Grain: grain}, nodes, func(admitted []uint64, idle bool) {
			splitNodes(p.fleet, stage, nodes, workers, grain, admitted, idle)
		}))
	}
	list = append(list, measureWay(FilterWay{Split: "filters", Workers: workers}, nodes, func(admitted []uint64, idle bool) {
		splitFilters(p.fleet, stage, nodes, min(workers, len(chain)), len(chain), admitted, idle)
	}))
	for i := range list {
		list[i].Ratio = one.Us / list[i].Us
		if list[i].Admitted != one.Admitted {
			return nil, fmt.Errorf("bench: filtering split by %s admits %d nodes, unsplit %d", list[i].Split, list[i].Admitted, one.Admitted)
		}
	}
	return list, nil
}

// measureWay takes the median of many rounds, with and without work in turns.
func measureWay(w FilterWay, nodes int, round func(admitted []uint64, idle bool)) FilterWay {
	admitted := make([]uint64, (nodes+63)/64)
	var busy, idle []float64
	for range filterRounds {
		for i := range admitted {
			admitted[i] = ^uint64(0)
		}
		if rest := nodes & 63; rest > 0 {
			admitted[len(admitted)-1] = 1<<rest - 1
		}
		start := time.Now()
		round(admitted, false)
		middle := time.Now()
		w.Admitted = 0
		for _, word := range admitted {
			w.Admitted += bits.OnesCount64(word)
		}
		again := time.Now()
		round(admitted, true)
		busy = append(busy, float64(middle.Sub(start).Nanoseconds())/1e3)
		idle = append(idle, float64(time.Since(again).Nanoseconds())/1e3)
	}
	w.Us, w.HandOverUs = median(busy), median(idle)
	return w
}

// splitNodes lets workers take portions of the nodes from a shared counter, each with all filters. A grain is a multiple
// of a word, so that no two workers write to one.
func splitNodes(f *place.Fleet, s *place.Stage, nodes, workers, grain int, admitted []uint64, idle bool) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for {
				from := int(next.Add(int64(grain))) - grain
				if from >= nodes {
					return
				}
				if !idle {
					f.Screen(s, nil, place.NodeIndex(from), place.NodeIndex(min(from+grain, nodes)), admitted)
				}
			}
		})
	}
	wait.Wait()
}

// splitFilters gives each worker every so-manieth filter, and all nodes; what they admit is combined under a lock.
func splitFilters(f *place.Fleet, s *place.Stage, nodes, workers, filters int, admitted []uint64, idle bool) {
	var lock sync.Mutex
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			own := slices.Clone(admitted)
			var chain []int
			for i := w; i < filters; i += workers {
				chain = append(chain, i)
			}
			if !idle {
				f.Screen(s, chain, 0, place.NodeIndex(nodes), own)
			}
			lock.Lock()
			defer lock.Unlock()
			for i := range admitted {
				admitted[i] &= own[i]
			}
		})
	}
	wait.Wait()
}
