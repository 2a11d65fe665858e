package compose

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-sched/troupe/actors/model"
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

// family is numbers of the cell's status that share a name, one for each value of a label.
type family struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	unit  float64
	value func(*v1.Packing) map[string]int64
}

// CellMetrics collects the status and the actor tree of a cell at every scrape.
type CellMetrics struct {
	cell     Observed
	log      *slog.Logger
	up       *prometheus.Desc
	state    *prometheus.Desc
	gauges   []gauge
	families []family
	actors   *treeMetrics
}

// NewCellMetrics makes the collector of a cell of that name.
func NewCellMetrics(name string, cell Observed, log *slog.Logger) *CellMetrics {
	labels := prometheus.Labels{"cell": name}
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc("troupe_"+name, help, nil, labels) }
	m := &CellMetrics{cell: cell, log: log, up: desc("up", "1 if the cell answered."),
		state: prometheus.NewDesc("troupe_state", "1 for the state that the cell is in.", []string{"state"}, labels), actors: newTreeMetrics(labels)}
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
		return is(s.GetAdmission() == "open")
	})
	add(level, "journal_waiting_bytes", "Bytes that wait in the journal to become durable.", func(s *v1.CellStatus) float64 { return float64(s.GetJournalWaitingBytes()) })
	add(level, "journal_waiting_limit_bytes", "Bytes waiting in the journal from which on new work waits; 0 for none.", func(s *v1.CellStatus) float64 { return float64(s.GetJournalWaitingMax()) })
	add(level, "master_memory_bytes", "Memory of the master that lives, without garbage.", func(s *v1.CellStatus) float64 { return float64(s.GetProcessBytes()) })
	add(level, "master_memory_limit_bytes", "Memory that the master may have; 0 for no limit. New work waits from 80 % on.", func(s *v1.CellStatus) float64 { return float64(s.GetProcessBytesMax()) })
	add(level, "nodes_awaited", "Nodes that have not said yet what they hold.", func(s *v1.CellStatus) float64 { return float64(s.GetNodesAwaited()) })
	add(level, "nodes_lost_waiting", "Lost nodes whose work waits for its turn to be placed elsewhere.", func(s *v1.CellStatus) float64 { return float64(s.GetNodesLostWaiting()) })
	add(level, "slots", "Slots held.", func(s *v1.CellStatus) float64 { return float64(s.GetPacking().GetSlots()) })
	add(level, "nodes_used", "Nodes that hold anything.", func(s *v1.CellStatus) float64 { return float64(s.GetPacking().GetUsedNodes()) })
	add(level, "nodes_shared", "Nodes that hold both services and batch work.", func(s *v1.CellStatus) float64 { return float64(s.GetPacking().GetSharedNodes()) })
	many := func(kind prometheus.ValueType, name, help, label string, unit float64, value func(*v1.Packing) map[string]int64) {
		m.families = append(m.families, family{prometheus.NewDesc("troupe_"+name, help, []string{label}, labels), kind, unit, value})
	}
	many(level, "allocated_ratio", "Part of the cell's capacity that is held.", "resource", 1000, (*v1.Packing).GetAllocatedMilli)
	many(level, "stranded_ratio", "Part of the cell's capacity that is free where another resource has run out.", "resource", 1000, (*v1.Packing).GetStrandedMilli)
	many(total, "evictions_total", "Evictions since this master began.", "rule", 1, func(k *v1.Packing) map[string]int64 {
		counts := make(map[string]int64, len(k.GetEvictions()))
		for rule, n := range k.GetEvictions() {
			counts[rule] = int64(n)
		}
		return counts
	})
	return m
}

// states that a cell can be in; see v1.CellStatus.
var states = []string{"normal", "settling", "isolated", "read_only", "short", "stalled"}

// is makes a number of a fact.
func is(fact bool) float64 {
	if fact {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (m *CellMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, g := range m.gauges {
		out <- g.desc
	}
	for _, f := range m.families {
		out <- f.desc
	}
	out <- m.up
	out <- m.state
	m.actors.describe(out)
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
		level := slog.LevelWarn
		if errors.Is(err, model.Unavailable("")) {
			level = slog.LevelDebug // a master that follows, or begins just now, has nothing to tell of the cell
		}
		m.log.Log(ctx, level, "metrics: the cell does not answer", "error", err)
		out <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, 0)
		return
	}
	out <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, 1)
	for _, state := range states {
		out <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, is(status.GetState() == state), state)
	}
	for _, g := range m.gauges {
		out <- prometheus.MustNewConstMetric(g.desc, g.kind, g.value(status))
	}
	for _, f := range m.families {
		for name, n := range f.value(status.GetPacking()) {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(n)/f.unit, name)
		}
	}
	m.actors.collect(out, tree.GetRoot())
}
