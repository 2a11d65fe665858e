package compose

import (
	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// masterMetrics tell of the masters of a cell as this one hears them; also one that follows has them.
type masterMetrics struct {
	id                              string
	list                            func() []*v1.MasterInfo
	leads, epoch, record, lag, seen *prometheus.Desc
}

func newMasterMetrics(cell, id string, list func() []*v1.MasterInfo) *masterMetrics {
	labels := prometheus.Labels{"cell": cell}
	desc := func(name, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc("troupe_master_"+name, help, by, labels)
	}
	return &masterMetrics{
		id: id, list: list,
		leads:  desc("leads", "1 if this master leads."),
		epoch:  desc("epoch", "Highest epoch that this master knows of."),
		record: desc("record", "Last record that this master has applied."),
		lag:    desc("lag_records", "Records that this master lacks of those that any has told of."),
		seen:   desc("heard", "Masters heard within the last minute, this one too, by what they last said to be.", "role"),
	}
}

// Describe implements prometheus.Collector.
func (m *masterMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.leads, m.epoch, m.record, m.lag, m.seen} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *masterMetrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, by ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, by...)
	}
	roles := map[string]int{}
	for _, i := range m.list() {
		roles[i.GetRole()]++
		if i.GetId() != m.id {
			continue
		}
		gauge(m.leads, is(i.GetRole() == "leader"))
		gauge(m.epoch, float64(i.GetEpoch()))
		gauge(m.record, float64(i.GetSeq()))
		gauge(m.lag, float64(i.GetLag()))
	}
	for role, n := range roles {
		gauge(m.seen, float64(n), role)
	}
}
