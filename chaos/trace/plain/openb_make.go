package plain

import (
	"fmt"
	"math/rand/v2"

	"github.com/troupe-sched/troupe/chaos/trace/openb"
)

// MakeOpenB draws nodes and pods as they are in packing traces, sorted: a few kinds of machines with different ratios of
// CPU to devices, and pods of a few dozen shapes, some far more common than others. Most pods ask for one device or a part
// of one, some for several, some for none, some for certain models.
func MakeOpenB(seed uint64, nodes, pods int) ([]openb.Node, []openb.Pod) {
	r := rand.New(rand.NewPCG(seed, 0x6f))
	machines, models := makeMachines(r, nodes)
	shapes := make([]openb.Pod, 10+r.IntN(30))
	for i := range shapes {
		shapes[i] = makeShape(r, models)
	}
	list := make([]openb.Pod, pods)
	for i := range list {
		list[i] = shapes[min(int(r.ExpFloat64()*float64(len(shapes))/4), len(shapes)-1)]
		list[i].Name = fmt.Sprintf("pod-%06d", i)
	}
	return machines, list
}

func makeMachines(r *rand.Rand, nodes int) (machines []openb.Node, models []string) {
	kinds := make([]openb.Node, 1+r.IntN(5))
	for i := range kinds {
		devices := []int{1, 2, 4, 8, 8}[r.IntN(5)]
		cores := int64(4+4*r.IntN(6)) * int64(devices)
		kinds[i] = openb.Node{
			CPU: cores * 1000, Memory: cores * int64(2048+2048*r.IntN(4)), Devices: devices, Model: fmt.Sprintf("M%d", i),
		}
		models = append(models, kinds[i].Model)
	}
	for i := range nodes {
		n := kinds[r.IntN(len(kinds))]
		n.Name = fmt.Sprintf("node-%05d", i)
		machines = append(machines, n)
	}
	return machines, models
}

func makeShape(r *rand.Rand, models []string) openb.Pod {
	p := openb.Pod{CPU: int64(500 * (1 + r.IntN(24))), Memory: int64(1024 * (1 + r.IntN(24)))}
	switch r.IntN(10) {
	case 0:
	case 1:
		p.Devices, p.Milli = 2<<r.IntN(3), openb.Whole
		p.CPU *= int64(p.Devices)
	case 2, 3, 4, 5:
		p.Devices, p.Milli = 1, openb.Whole
	default:
		p.Devices, p.Milli = 1, 10*(1+r.IntN(99))
	}
	if p.Devices > 0 && r.IntN(5) == 0 {
		for _, model := range models {
			if r.IntN(2) == 0 {
				p.Models = append(p.Models, model)
			}
		}
	}
	return p
}
