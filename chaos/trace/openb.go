package trace

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
	"github.com/troupe-sched/troupe/actors/tree"
	"github.com/troupe-sched/troupe/chaos/trace/openb"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// openbPercent is how much of the devices the study lets arrive, in percent of what there is.
const openbPercent = 130

// openb reads lists of nodes and pods, and the order of arrival or draws one.
func (s *Source) openb(o *Options) (*Workload, error) {
	nodes, err := openb.LoadNodes(s.Nodes)
	if err != nil {
		return nil, err
	}
	pods, err := openb.LoadPods(s.Work)
	if err != nil {
		return nil, err
	}
	openb.SortNodes(nodes)
	openb.SortPods(pods)
	sequence := openb.Draw(pods, nodes, openbPercent, int64(s.Seed))
	if s.Order != "" {
		if sequence, err = openb.LoadSequence(s.Order, len(pods), len(nodes)); err != nil {
			return nil, err
		}
	}
	return OpenB(nodes, pods, sequence, o)
}

// OpenB is the published study as a workload: nodes join in the order of their ranks, pods come one by one and are tried
// once, nothing departs. Nodes and pods are sorted as the sequence counts them. It completes the options: the best node is
// chosen exactly, as the study does, and the scores know the shapes of the list.
func OpenB(nodes []openb.Node, pods []openb.Pod, sequence openb.Sequence, o *Options) (*Workload, error) {
	w := &Workload{Once: true, Nodes: make([]*v1.NodeInfo, len(nodes))}
	for i, n := range nodes {
		info := &v1.NodeInfo{
			Id: nodeName(n.Name, i), CpuMilli: n.CPU, MemoryBytes: n.Memory << 20, Drivers: []string{model.DriverProcess},
		}
		for range n.Devices {
			info.Devices = append(info.Devices, &v1.Device{Kind: deviceKind, Model: n.Model})
		}
		w.Nodes[sequence.Ranks[i]] = info
	}
	for i, at := range sequence.Arrivals {
		p := &pods[at]
		stage := &v1.StageSpec{
			Name: stageName, Command: []string{"pod"},
			Resources: &v1.Resources{Cpu: fmt.Sprintf("%dm", max(p.CPU, 1)), Memory: fmt.Sprintf("%dMi", max(p.Memory, 1))},
		}
		if p.Devices > 0 {
			stage.Devices = wantDevices(p.Total())
			stage.Devices.Models = slices.Compact(slices.Sorted(slices.Values(p.Models)))
		}
		// A second lies between two arrivals, so that the actors of jobs that were withdrawn can leave.
		w.Jobs = append(w.Jobs, Job{At: time.Duration(i+1) * time.Second, Run: Forever, Spec: &v1.JobSpec{
			Name: fmt.Sprintf("pod-%d", i), Stages: []*v1.StageSpec{stage},
		}})
	}
	workload, all := expected(pods, o.Policy.Score)
	o.Change = func(c *tree.Config) {
		c.Place.Exact, c.Place.Workload, c.Place.WorkloadWeight = true, workload, all
	}
	return w, nil
}

// expected is the shapes of a list of pods, as a score looks ahead to them: fragmentation knows those that the study takes
// for typical, in its order, others all.
func expected(pods []openb.Pod, score string) (list []place.Expected, all int64) {
	if score == place.Fragmentation {
		for _, s := range openb.Typical(pods, openb.TypicalPercent) {
			list = append(list, expect(&openb.Pod{CPU: s.CPU, Devices: s.Devices, Milli: s.Milli, Models: s.Models}, s.Count))
		}
		return list, int64(len(pods))
	}
	at := map[string]int{}
	for i := range pods {
		p := &pods[i]
		key := fmt.Sprint(p.CPU, p.Memory, p.Devices, p.Milli, p.Models)
		if _, known := at[key]; !known {
			at[key] = len(list)
			list = append(list, expect(p, 0))
		}
		list[at[key]].Weight++
	}
	return list, 0
}

func expect(p *openb.Pod, weight int64) place.Expected {
	return place.Expected{
		Resources: model.Resources{model.CPU: p.CPU, model.Memory: p.Memory << 20}, Weight: weight,
		Devices: model.DeviceNeed{Kind: deviceKind, Count: int32(p.Devices), Milli: int32(p.Milli), Models: p.Models},
	}
}

// nodeName is a name of a machine as the cell takes it.
func nodeName(name string, number int) string {
	if name = strings.ToLower(name); model.ValidName(name) {
		return name
	}
	return fmt.Sprintf("node-%d", number)
}
