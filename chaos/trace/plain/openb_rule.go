package plain

import (
	"fmt"

	"github.com/troupe-sched/troupe/actors/policy/frag"
	"github.com/troupe-sched/troupe/chaos/trace/openb"
)

// ByRule is a rule of production for these nodes and pods: Fragmentation knows the shapes that the study takes for
// typical, Packing all of them.
func ByRule(rule frag.Rule, nodes []openb.Node, pods []openb.Pod) (Score, error) {
	var models frag.Models
	largest := frag.Node{}
	for _, n := range nodes {
		if _, ok := models.Number(n.Model); !ok {
			return nil, fmt.Errorf("more than %d device models", frag.MaxModels)
		}
		largest.CPU, largest.Devices = max(largest.CPU, n.CPU), max(largest.Devices, int8(n.Devices))
	}
	workload, err := workloadOf(rule, pods, &models)
	if err != nil {
		return nil, err
	}
	scorer := frag.NewScorer(rule, workload, largest)
	return func(m *Machine, p *openb.Pod) (int64, []int) {
		node, demand := nodeOf(m, &models), demandOf(p, &models)
		choice, fits := scorer.Score(&node, &demand)
		if !fits {
			panic("plain: the rule finds no room where there is some")
		}
		var devices []int
		for i := range m.Free {
			if choice.Devices>>i&1 == 1 {
				devices = append(devices, i)
			}
		}
		return choice.Score, devices
	}, nil
}

func workloadOf(rule frag.Rule, pods []openb.Pod, models *frag.Models) (*frag.Workload, error) {
	var shapes []frag.Shape
	if rule == frag.Fragmentation {
		for _, s := range openb.Typical(pods, openb.TypicalPercent) {
			d := demandOf(&openb.Pod{CPU: s.CPU, Devices: s.Devices, Milli: s.Milli, Models: s.Models}, models)
			shapes = append(shapes, frag.Shape{Demand: d, Weight: s.Count})
		}
		return frag.NewWorkload(shapes, int64(len(pods)))
	}
	at := map[frag.Demand]int{}
	for i := range pods {
		d := demandOf(&pods[i], models)
		if _, known := at[d]; !known {
			at[d] = len(shapes)
			shapes = append(shapes, frag.Shape{Demand: d})
		}
		shapes[at[d]].Weight++
	}
	return frag.NewWorkload(shapes, 0)
}

func nodeOf(m *Machine, models *frag.Models) frag.Node {
	model, _ := models.Number(m.Model)
	n := frag.Node{CPU: m.CPU, Memory: m.Memory, Devices: int8(m.Devices), Model: model}
	for i, free := range m.Free {
		n.Free[i] = int16(free)
	}
	return n
}

func demandOf(p *openb.Pod, models *frag.Models) frag.Demand {
	d := frag.Demand{CPU: p.CPU, Memory: p.Memory, Devices: int8(p.Devices), Milli: int16(p.Milli)}
	for _, name := range p.Models {
		model, _ := models.Number(name)
		d.Models = d.Models.With(model)
	}
	return d
}
