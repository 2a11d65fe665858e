package bench

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-sched/troupe/chaos/trace"
)

// FaultsOptions of the comparison.
type FaultsOptions struct {
	// Nodes, and how many instances of one batch job run at once on each; Instances of the job, which take Each in the mean.
	Nodes, Slots, Instances int
	Each                    time.Duration
	// SlowMost is in how many times the time the slowest of the slow machines works.
	SlowMost int
	// Seeds is how many runs of each kind the median is of.
	Seeds int
}

// Faults is what was measured.
type Faults struct {
	Nodes     int         `json:"nodes"`
	Instances int         `json:"instances"`
	EachS     float64     `json:"instance_s"`
	SlowMost  int         `json:"slow_most"`
	Rows      []FaultsRow `json:"rows"`
	// Lost jobs of all runs.
	JobsLost int `json:"jobs_lost"`
}

// FaultsRow is one mix of faults.
type FaultsRow struct {
	// Percent of the nodes that fall ill, and how many in which way.
	Percent int `json:"percent"`
	Down    int `json:"down"`
	Failing int `json:"failing"`
	Slow    int `json:"slow"`
	// Seconds of each run in the job's own time, by seed, and by how much that is longer than without faults: median,
	// least and most in percent.
	Seconds []float64 `json:"seconds"`
	Slower  float64   `json:"slower_percent"`
	Least   float64   `json:"slower_least"`
	Most    float64   `json:"slower_most"`
	// Attempts of all runs; Failed are those that failed, Off those whose machine died.
	Attempts uint64 `json:"attempts"`
	Failed   uint64 `json:"failed"`
	Off      uint64 `json:"off"`
}

// RunFaults plays one batch job through the production actors in virtual time, on machines of which none, 5 and 10 percent
// fall ill in the first half: some die, some fail every attempt, most become slow, about as in the table of fault
// injection of Zhang et al., "Fuxi", VLDB 2014; and once more without slow ones.
func RunFaults(ctx context.Context, o FaultsOptions) (*Faults, error) {
	f := &Faults{Nodes: o.Nodes, Instances: o.Instances, EachS: o.Each.Seconds(), SlowMost: o.SlowMost}
	sound := make([]float64, o.Seeds)
	for _, percent := range []int{0, 5, 10} {
		for _, slow := range []bool{false, true} {
			if percent == 0 && slow {
				continue
			}
			row := faultsMix(o.Nodes, percent, slow)
			for seed := range o.Seeds {
				r, err := trace.RunFaults(ctx, trace.FaultsOptions{
					Seed: uint64(seed + 1), Nodes: o.Nodes, Slots: o.Slots, Instances: o.Instances, Each: o.Each, SlowMost: o.SlowMost,
					Down: row.Down, Failing: row.Failing, Slow: row.Slow,
				})
				if err != nil {
					return nil, err
				}
				if r.Phase != "succeeded" || r.Done != uint64(o.Instances) {
					f.JobsLost++
				}
				row.Seconds = append(row.Seconds, r.Took.Seconds())
				row.Attempts, row.Failed, row.Off = row.Attempts+r.Attempts, row.Failed+r.Failed, row.Off+r.Lost
			}
			if percent == 0 {
				copy(sound, row.Seconds)
			}
			row.compare(sound)
			f.Rows = append(f.Rows, row)
		}
	}
	return f, nil
}

// faultsMix shares the ill machines out: a fifth die, a fifth fail, the rest is slow; without slow ones half and half.
func faultsMix(nodes, percent int, slow bool) FaultsRow {
	ill := nodes * percent / 100
	row := FaultsRow{Percent: percent, Down: ill / 5, Failing: ill / 5}
	if slow {
		row.Slow = ill - row.Down - row.Failing
		return row
	}
	row.Down = ill / 2
	row.Failing = ill - row.Down
	return row
}

func (r *FaultsRow) compare(sound []float64) {
	var more []float64
	for i, s := range r.Seconds {
		more = append(more, 100*(s/sound[i]-1))
	}
	slices.Sort(more)
	r.Slower, r.Least, r.Most = more[len(more)/2], more[0], more[len(more)-1]
}
