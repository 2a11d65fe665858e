package compose

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-sched/troupe/actors"
	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/cluster/fabric"
)

// nodeMetrics collect what an agent does: its actors, its link to the master, and the events that it counts.
type nodeMetrics struct {
	tree   func() kit.Node
	link   func() fabric.Stats
	lanes  *laneMetrics
	actors *treeMetrics
	// messages by what became of them, events by name.
	messages, events *prometheus.Desc

	mu      sync.Mutex
	counted map[string]uint64
}

func newNodeMetrics(cell, node string) *nodeMetrics {
	labels := prometheus.Labels{"cell": cell, "node": node}
	return &nodeMetrics{
		lanes:    newLaneMetrics(labels, nil),
		actors:   newTreeMetrics(labels),
		messages: prometheus.NewDesc("troupe_link_messages_total", "Messages of the link to the master.", []string{"fate"}, labels),
		events:   prometheus.NewDesc("troupe_agent_events_total", "Signs of trouble, harmless one by one.", []string{"event"}, labels),
		counted:  map[string]uint64{},
	}
}

// count takes an event of the agent; their names are a handful of constants.
func (m *nodeMetrics) count(event string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counted[event]++
}

// Describe implements prometheus.Collector.
func (m *nodeMetrics) Describe(out chan<- *prometheus.Desc) {
	m.actors.describe(out)
	m.lanes.Describe(out)
	out <- m.messages
	out <- m.events
}

// Collect implements prometheus.Collector.
func (m *nodeMetrics) Collect(out chan<- prometheus.Metric) {
	m.lanes.Collect(out)
	m.actors.collect(out, actors.TreeNode(m.tree()))
	s := m.link()
	for fate, n := range map[string]uint64{
		"sent": s.Sent, "received": s.Received, "full": s.Full, "down": s.Down, "oversized": s.Oversized,
		"misaddressed": s.Misaddressed, "poison": s.Poison, "foreign": s.Foreign, "slow": s.Slow,
	} {
		out <- prometheus.MustNewConstMetric(m.messages, prometheus.CounterValue, float64(n), fate)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for event, n := range m.counted {
		out <- prometheus.MustNewConstMetric(m.events, prometheus.CounterValue, float64(n), event)
	}
}
