package bench

import (
	"fmt"
	"math/rand/v2"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/policy/place"
)

// mixedCell is a cell of unlike machines and the demand on it, both drawn from a seed.
type mixedCell struct {
	r      *rand.Rand
	shapes []place.Shape // hundreds, used again by job after job
}

const (
	mixedKinds   = 24  // machine shapes
	mixedShapes  = 400 // demand shapes
	mixedRack    = 40  // nodes a rack
	mixedPerJob  = 50  // tasks a job, mean
	mixedOfNode  = 10  // tasks that fill a node, mean
	mixedMemory  = int64(4) << 30
	mixedSpread  = 10 // per cent of the shapes
	mixedBounded = 30 // per cent of the shapes with constraints
)

// newMixedCell draws the shapes of demand. Sizes are unlike: a few tasks take most of the room, ten fill a node.
func newMixedCell(seed uint64) *mixedCell {
	m := &mixedCell{r: rand.New(rand.NewPCG(seed, 7))}
	for i := range mixedShapes {
		m.shapes = append(m.shapes, m.shape(i))
	}
	return m
}

func (m *mixedCell) shape(i int) place.Shape {
	cpu := []int64{250, 500, 500, 1000, 1000, 2000, 4000, 8000, 16000, 32000}[m.r.IntN(10)]
	memory := cpu * mixedMemory / 1000 * []int64{1, 2, 4, 4, 8}[m.r.IntN(5)] / 4
	s := place.Shape{
		Resources: model.Resources{cpu + m.r.Int64N(50)*10, memory + m.r.Int64N(64)<<20, 0, 0}, Driver: "process", Queue: "bench",
		Band: []model.Band{model.Monitoring, model.Production, model.Batch, model.Batch, model.Free}[m.r.IntN(5)],
	}
	if i%100 < mixedBounded {
		s.Constraints = m.constraints()
	}
	switch k := i * 7 % 100; {
	case k < mixedSpread*7/10:
		s.Spread = "rack"
	case k < mixedSpread:
		s.Spread = model.NodeAttribute
	}
	return s
}

func (m *mixedCell) constraints() []model.Constraint {
	one := func(attribute string, op model.Op, values ...string) model.Constraint {
		return model.Constraint{Attribute: attribute, Op: op, Values: values}
	}
	return [][]model.Constraint{
		{one("arch", model.OpEqual, "amd64")},
		{one("kernel", model.OpVersion, ">= 5.10")},
		{one("disk", model.OpIn, "ssd", "nvme")},
		{one("zone", model.OpNotEqual, "z0")},
		{one("generation", model.OpGreaterEqual, "4"), one("disk", model.OpEqual, "nvme")},
		{one("arch", model.OpMatches, "amd.*"), one("kernel", model.OpVersion, ">= 5, < 6.5"), one("zone", model.OpIn, "z1", "z2")},
	}[m.r.IntN(6)]
}

// node draws one machine.
func (m *mixedCell) node(i int) (model.NodeID, place.Node) {
	kind := m.r.IntN(mixedKinds)
	cores := []int64{16, 32, 48, 64, 96, 128}[kind%6] * 1000
	n := place.Node{
		Capacity: model.Resources{cores, cores * mixedMemory / 1000 * []int64{1, 2, 3, 4}[kind/6] / 2, 1 << 40, 10e9},
		Attributes: map[string]string{
			"rack": fmt.Sprintf("r%d", i/mixedRack), "zone": fmt.Sprintf("z%d", i/mixedRack%4), "os": "linux",
			"arch": []string{"amd64", "amd64", "amd64", "arm64"}[m.r.IntN(4)], "kernel": []string{"5.4.0", "5.15.3", "6.1.20", "6.8.0-12"}[m.r.IntN(4)],
			"disk": []string{"hdd", "ssd", "nvme"}[m.r.IntN(3)], "generation": fmt.Sprint(1 + m.r.IntN(6)),
		},
		Drivers: []string{"func", "process"}, PortFrom: 20_000, PortTo: 29_999,
	}
	return model.NodeID(fmt.Sprintf("node-%06d", i)), n
}

// fleet is a cell of so many nodes.
func (m *mixedCell) fleet(nodes int, o place.Options) *place.Fleet {
	f := place.NewFleet(o)
	for i := range nodes {
		f.Put(m.node(i))
	}
	return f
}

// job draws a job: its shape, and how many tasks it has.
func (m *mixedCell) job() (place.Shape, int) {
	return m.shapes[m.r.IntN(len(m.shapes))], 1 + m.r.IntN(2*mixedPerJob-1)
}
