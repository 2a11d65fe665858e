package compose

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Observed is what metrics are read from: the part of a cell that tells of itself.
type Observed interface {
	CellStatus(context.Context, *v1.CellStatusRequest) (*v1.CellStatus, error)
	CellTree(context.Context, *v1.CellTreeRequest) (*v1.CellTree, error)
}

// collectWithin bounds what one scrape asks of the cell.
const collectWithin = 3 * time.Second

// gauge is one number of the cell's status.
type gauge struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*v1.CellStatus) float64
}

// CellMetrics collects the status and the actor tree of a cell at every scrape. Actors are summed up by kind, so that
// the number of series does not grow with that of jobs and nodes. Sums over actors are gauges, no counters: they fall
// when an actor goes, and a counter that falls would count as one that began anew.
type CellMetrics struct {
	cell   Observed
	log    *slog.Logger
	up     *prometheus.Desc
	gauges []gauge

	actors, restarts, mailbox, fullest, handled *prometheus.Desc
}

// NewCellMetrics makes the collector of a cell of that name.
func NewCellMetrics(name string, cell Observed, log *slog.Logger) *CellMetrics {
	labels := prometheus.Labels{"cell": name}
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("troupe_"+name, help, variable, labels)
	}
	m := &CellMetrics{cell: cell, log: log,
		up:       desc("up", "1 if the cell answered."),
		actors:   desc("actors", "Live actors.", "kind"),
		restarts: desc("actor_restarts", "Restarts after a crash of the actors that live now.", "kind"),
		mailbox:  desc("actor_mailbox_messages", "Messages that wait in mailboxes.", "kind"),
		fullest:  desc("actor_mailbox_fullest_ratio", "How full the fullest mailbox is, from 0 to 1.", "kind"),
		handled:  desc("actor_messages", "Messages handled by the actors that live now.", "kind"),
	}
	add := func(kind prometheus.ValueType, name, help string, value func(*v1.CellStatus) float64) {
		m.gauges = append(m.gauges, gauge{desc(name, help), kind, value})
	}
	level, total := prometheus.GaugeValue, prometheus.CounterValue
	add(level, "epoch", "Epoch of the master.", func(s *v1.CellStatus) float64 { return float64(s.GetEpoch()) })
	add(total, "journal_records_total", "Newest record of the journal.", func(s *v1.CellStatus) float64 { return float64(s.GetSeq()) })
	add(level, "snapshot_record", "Record up to which the newest snapshot goes.", func(s *v1.CellStatus) float64 { return float64(s.GetSnapshotSeq()) })
	add(level, "nodes", "Nodes known.", func(s *v1.CellStatus) float64 { return float64(s.GetNodes()) })
	add(level, "nodes_fresh", "Nodes heard of lately.", func(s *v1.CellStatus) float64 { return float64(s.GetNodesFresh()) })
	add(level, "cpu_cores", "Cores of all nodes.", func(s *v1.CellStatus) float64 { return float64(s.GetCpuMilli()) / 1000 })
	add(level, "cpu_cores_held", "Cores held by slots.", func(s *v1.CellStatus) float64 { return float64(s.GetCpuMilliHeld()) / 1000 })
	add(level, "memory_bytes", "Memory of all nodes.", func(s *v1.CellStatus) float64 { return float64(s.GetMemoryBytes()) })
	add(level, "memory_bytes_held", "Memory held by slots.", func(s *v1.CellStatus) float64 { return float64(s.GetMemoryBytesHeld()) })
	add(level, "queues", "Queues.", func(s *v1.CellStatus) float64 { return float64(s.GetQueues()) })
	add(level, "jobs_live", "Jobs that have not ended.", func(s *v1.CellStatus) float64 { return float64(s.GetJobsLive()) })
	add(level, "jobs_ended", "Ended jobs that are still remembered.", func(s *v1.CellStatus) float64 { return float64(s.GetJobsEnded()) })
	add(level, "waiting_slots", "Slots that jobs wait for.", func(s *v1.CellStatus) float64 { return float64(s.GetWaitingSlots()) })
	add(total, "dead_letters_total", "Messages that found no receiver.", func(s *v1.CellStatus) float64 { return float64(s.GetDeadLetters()) })
	add(level, "admission_open", "1 if new work is taken.", func(s *v1.CellStatus) float64 {
		if s.GetAdmission() == "open" {
			return 1
		}
		return 0
	})
	return m
}

// Describe implements prometheus.Collector.
func (m *CellMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, g := range m.gauges {
		out <- g.desc
	}
	for _, d := range []*prometheus.Desc{m.up, m.actors, m.restarts, m.mailbox, m.fullest, m.handled} {
		out <- d
	}
}

// Collect implements prometheus.Collector. A cell that does not answer shows as troupe_up 0 and nothing else.
func (m *CellMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectWithin)
	defer cancel()
	status, err := m.cell.CellStatus(ctx, &v1.CellStatusRequest{})
	var tree *v1.CellTree
	if err == nil {
		tree, err = m.cell.CellTree(ctx, &v1.CellTreeRequest{})
	}
	if err != nil {
		m.log.Warn("metrics: the cell does not answer", "error", err)
		out <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, 0)
		return
	}
	out <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, 1)
	for _, g := range m.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, g.kind, g.value(status))
	}
	m.collectTree(out, tree)
}

// sums of the actors of one kind.
type sums struct{ actors, restarts, mailbox, fullest, handled float64 }

func (m *CellMetrics) collectTree(out chan<- prometheus.Metric, tree *v1.CellTree) {
	kinds := map[string]*sums{}
	var add func(*v1.TreeNode)
	add = func(n *v1.TreeNode) {
		s := kinds[n.GetKind()]
		if s == nil {
			s = &sums{}
			kinds[n.GetKind()] = s
		}
		s.actors++
		s.restarts += float64(n.GetRestarts())
		s.mailbox += float64(n.GetMailbox())
		s.handled += float64(n.GetHandled())
		if n.GetMailboxMax() > 0 {
			s.fullest = max(s.fullest, float64(n.GetMailbox())/float64(n.GetMailboxMax()))
		}
		for _, child := range n.GetChildren() {
			add(child)
		}
	}
	if tree.GetRoot() != nil {
		add(tree.GetRoot())
	}
	for kind, s := range kinds {
		send := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
			out <- prometheus.MustNewConstMetric(d, t, v, kind)
		}
		send(m.actors, prometheus.GaugeValue, s.actors)
		send(m.restarts, prometheus.GaugeValue, s.restarts)
		send(m.mailbox, prometheus.GaugeValue, s.mailbox)
		send(m.fullest, prometheus.GaugeValue, s.fullest)
		send(m.handled, prometheus.GaugeValue, s.handled)
	}
}
