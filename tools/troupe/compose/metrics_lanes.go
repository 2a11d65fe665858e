package compose

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-sched/troupe/cluster/api"
	"github.com/troupe-sched/troupe/cluster/fabric"
)

// shown are the parts of a master that metrics are read from; those that are not open show nothing.
type shown struct {
	fabric atomic.Pointer[fabric.Master]
	api    atomic.Pointer[api.Service]
}

func (s *shown) metrics(cell string) []prometheus.Collector {
	labels := prometheus.Labels{"cell": cell}
	return []prometheus.Collector{
		newLaneMetrics(labels, func() []fabric.Lane {
			if f := s.fabric.Load(); f != nil {
				return f.Lanes()
			}
			return nil
		}),
		newAPIMetrics(labels, func() map[string]api.Counts {
			if a := s.api.Load(); a != nil {
				return a.Stats()
			}
			return nil
		}),
	}
}

// laneMetrics tell of the lanes between a master and its agents, from one of its ends.
type laneMetrics struct {
	lanes                                 func() []fabric.Lane
	waiting, bytes, most, passed, dropped *prometheus.Desc
}

// newLaneMetrics makes the collector; lanes may give none, while there is no link.
func newLaneMetrics(labels prometheus.Labels, lanes func() []fabric.Lane) *laneMetrics {
	desc := func(name, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc("troupe_lane_"+name, help, append([]string{"lane"}, by...), labels)
	}
	return &laneMetrics{
		lanes:   lanes,
		waiting: desc("waiting_messages", "Messages that wait in a lane between master and agents."),
		bytes:   desc("waiting_bytes", "Bytes of the messages that wait in a lane."),
		most:    desc("limit", "The most messages, or bytes, that may wait in a lane; more are dropped.", "unit"),
		passed:  desc("passed_total", "Messages that went through a lane."),
		dropped: desc("dropped_total", "Messages that a lane dropped because too much waited in it."),
	}
}

// Describe implements prometheus.Collector.
func (m *laneMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.waiting, m.bytes, m.most, m.passed, m.dropped} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *laneMetrics) Collect(out chan<- prometheus.Metric) {
	level, total := prometheus.GaugeValue, prometheus.CounterValue
	for _, l := range m.lanes() {
		out <- prometheus.MustNewConstMetric(m.waiting, level, float64(l.Waiting), l.Name)
		out <- prometheus.MustNewConstMetric(m.bytes, level, float64(l.Bytes), l.Name)
		out <- prometheus.MustNewConstMetric(m.most, level, float64(l.WaitingMax), l.Name, "messages")
		out <- prometheus.MustNewConstMetric(m.most, level, float64(l.BytesMax), l.Name, "bytes")
		out <- prometheus.MustNewConstMetric(m.passed, total, float64(l.Passed), l.Name)
		out <- prometheus.MustNewConstMetric(m.dropped, total, float64(l.Dropped), l.Name)
	}
}

// apiMetrics tell of the requests of clients.
type apiMetrics struct {
	counts          func() map[string]api.Counts
	inFlight, ended *prometheus.Desc
}

// newAPIMetrics makes the collector; counts may give none, while nothing is served.
func newAPIMetrics(labels prometheus.Labels, counts func() map[string]api.Counts) *apiMetrics {
	return &apiMetrics{
		counts:   counts,
		inFlight: prometheus.NewDesc("troupe_api_in_flight", "Requests that are being answered.", []string{"endpoint"}, labels),
		ended:    prometheus.NewDesc("troupe_api_requests_total", "Requests by what became of them.", []string{"endpoint", "fate"}, labels),
	}
}

// Describe implements prometheus.Collector.
func (m *apiMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.inFlight
	out <- m.ended
}

// Collect implements prometheus.Collector.
func (m *apiMetrics) Collect(out chan<- prometheus.Metric) {
	for endpoint, c := range m.counts() {
		out <- prometheus.MustNewConstMetric(m.inFlight, prometheus.GaugeValue, float64(c.InFlight), endpoint)
		for fate, n := range map[string]uint64{
			"taken": c.Requests, "refused": c.Refused, "busy": c.Busy, "failed": c.Failed, "mute": c.Mute, "unsent": c.Unsent,
		} {
			out <- prometheus.MustNewConstMetric(m.ended, prometheus.CounterValue, float64(n), endpoint, fate)
		}
	}
}
