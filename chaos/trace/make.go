package trace

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

// MakeOptions of a workload that is made up.
type MakeOptions struct {
	Nodes, Jobs int
	Seed        uint64
	// Load is how much of the scarcest resource is wanted on the average, in percent of what there is; 90 if zero.
	Load int
	// Devices gives some machines devices, and some jobs the wish for them.
	Devices bool
}

// machineKind is one kind of machine of a made-up cell.
type machineKind struct {
	weight           int
	cores, gib, gpus int
	model            string
}

func machineKinds(devices bool) []machineKind {
	kinds := []machineKind{{6, 32, 64, 0, ""}, {3, 64, 256, 0, ""}, {2, 16, 64, 0, ""}}
	if devices {
		kinds = append(kinds, machineKind{3, 64, 256, 4, "V100"}, machineKind{2, 96, 512, 8, "A10"})
	}
	return kinds
}

// Make writes a workload in the plain form: machines of a few kinds in racks, and jobs of four queues, most of them small
// and short, some large and long, some services; times are drawn so that the load is about what was asked for.
func Make(o MakeOptions, nodes, work io.Writer) error {
	if o.Nodes < 1 || o.Nodes > MaxNodes || o.Jobs < 1 || o.Jobs > MaxJobs {
		return fmt.Errorf("trace: %d nodes and %d jobs; there must be from 1 to %d and from 1 to %d", o.Nodes, o.Jobs, MaxNodes, MaxJobs)
	}
	if o.Load == 0 {
		o.Load = 90
	}
	rng := rand.New(rand.NewPCG(o.Seed, 0x6d61_6b65))
	cores, err := makeNodes(o, rng, nodes)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(work)
	fmt.Fprintln(out, "time,queue,job,kind,band,rank,owner,instances,cpu,memory,gpu,models,duration,estimate")
	// The clock runs so that what has come by any time asks for the load's share of what the cell could have done by then.
	clock := 0.0
	perSecond := float64(cores) * float64(o.Load) / 100
	for i := range o.Jobs {
		j := drawJob(o, rng, i)
		fmt.Fprintf(out, "%.3f,%s,%s,%s,%s,%d,%s,%d,%dm,%dMi,%s,%s,%s,%s\n", clock, j.queue, fmt.Sprintf("job-%d", i+1), j.kind, j.band, j.rank,
			j.owner, j.instances, j.milli, j.mib, j.gpu, j.models, seconds(j.run), seconds(j.estimate))
		if j.run > 0 {
			clock += float64(j.milli) / 1000 * float64(j.instances) * j.run.Seconds() / perSecond * (0.5 + rng.Float64())
		}
	}
	return out.Flush()
}

func makeNodes(o MakeOptions, rng *rand.Rand, to io.Writer) (cores int, err error) {
	out := bufio.NewWriter(to)
	fmt.Fprintln(out, "node,cpu,memory,gpu,model,rack")
	kinds := machineKinds(o.Devices)
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	for i := range o.Nodes {
		n := rng.IntN(total)
		k := kinds[0]
		for _, k = range kinds {
			if n -= k.weight; n < 0 {
				break
			}
		}
		cores += k.cores
		fmt.Fprintf(out, "node-%d,%d,%dGi,%d,%s,rack-%d\n", i, k.cores, k.gib, k.gpus, k.model, i/40)
	}
	return cores, out.Flush()
}

// drawn is one made-up job.
type drawn struct {
	queue, kind, band, owner, gpu, models string
	rank, instances, milli, mib           int
	run, estimate                         time.Duration
}

func drawJob(o MakeOptions, rng *rand.Rand, i int) drawn {
	user := rng.IntN(20)
	j := drawn{
		queue: fmt.Sprintf("team-%d", user%4), owner: fmt.Sprintf("user-%d", user), kind: "batch", band: "batch",
		instances: 1, milli: 250 << rng.IntN(5), mib: 256 << rng.IntN(6),
		run: time.Duration(10+rng.ExpFloat64()*600) * time.Second,
	}
	switch k := rng.IntN(100); {
	case k < 5: // services stay
		j.kind, j.band, j.run, j.milli, j.mib = "service", "production", 0, 500, 1024
	case k < 15: // wide
		j.instances = 2 + rng.IntN(12)
	case k < 20: // large
		j.milli, j.mib = 8000, 16384
	case k < 30: // nobody hurries
		j.band = "free"
	}
	j.rank = rng.IntN(3)
	if o.Devices && j.kind == "batch" && rng.IntN(3) == 0 {
		j.gpu = []string{"250m", "500m", "1", "1", "2", "4"}[rng.IntN(6)]
		if rng.IntN(4) == 0 {
			j.models = "V100"
		}
	}
	// People know what they do only roughly, and are careful.
	if j.run > 0 && i%3 != 0 {
		j.estimate = (j.run * time.Duration(2+user%5)).Round(time.Minute) + time.Minute
	}
	return j
}

// seconds of a duration; empty for none.
func seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strings.TrimSuffix(fmt.Sprintf("%.3f", d.Seconds()), ".000")
}
