package compose

import (
	"github.com/prometheus/client_golang/prometheus"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// treeMetrics tell of actors. They are summed up by kind, so that the number of series does not grow with that of jobs
// and nodes. The sums are gauges, no counters: they fall when an actor goes, and a counter that falls would count as one
// that began anew.
type treeMetrics struct {
	actors, restarts, mailbox, fullest, handled, refused *prometheus.Desc
}

func newTreeMetrics(labels prometheus.Labels) *treeMetrics {
	desc := func(name, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc("troupe_"+name, help, append([]string{"kind"}, by...), labels)
	}
	return &treeMetrics{
		actors:   desc("actors", "Live actors."),
		restarts: desc("actor_restarts", "Restarts after a crash of the actors that live now."),
		mailbox:  desc("actor_mailbox_messages", "Messages that wait in a lane of mailboxes.", "lane"),
		fullest:  desc("actor_mailbox_fullest_ratio", "How full the fullest mailbox is, from 0 to 1."),
		handled:  desc("actor_messages", "Messages handled by the actors that live now."),
		refused:  desc("actor_refused_messages", "Messages that the full mailboxes of the actors that live now have refused."),
	}
}

func (m *treeMetrics) describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.actors, m.restarts, m.mailbox, m.fullest, m.handled, m.refused} {
		out <- d
	}
}

// sums of the actors of one kind.
type sums struct {
	actors, restarts, fullest, handled, refused float64
	// normal, control and bulk are the lanes of mailboxes.
	normal, control, bulk float64
}

func (m *treeMetrics) collect(out chan<- prometheus.Metric, root *v1.TreeNode) {
	kinds := map[string]*sums{}
	if root != nil {
		sumUp(kinds, root)
	}
	for kind, s := range kinds {
		for _, metric := range []struct {
			desc  *prometheus.Desc
			value float64
			by    []string
		}{
			{m.actors, s.actors, nil}, {m.restarts, s.restarts, nil}, {m.fullest, s.fullest, nil}, {m.handled, s.handled, nil},
			{m.refused, s.refused, nil}, {m.mailbox, s.normal, []string{"normal"}}, {m.mailbox, s.control, []string{"control"}},
			{m.mailbox, s.bulk, []string{"bulk"}},
		} {
			out <- prometheus.MustNewConstMetric(metric.desc, prometheus.GaugeValue, metric.value, append([]string{kind}, metric.by...)...)
		}
	}
}

func sumUp(kinds map[string]*sums, n *v1.TreeNode) {
	s := kinds[n.GetKind()]
	if s == nil {
		s = &sums{}
		kinds[n.GetKind()] = s
	}
	s.actors++
	s.restarts += float64(n.GetRestarts())
	s.control += float64(n.GetMailboxControl())
	s.bulk += float64(n.GetMailboxBulk())
	s.normal += float64(n.GetMailbox() - n.GetMailboxControl() - n.GetMailboxBulk())
	s.handled += float64(n.GetHandled())
	s.refused += float64(n.GetRefused())
	if n.GetMailboxMax() > 0 {
		s.fullest = max(s.fullest, float64(n.GetMailbox())/float64(n.GetMailboxMax()))
	}
	for _, child := range n.GetChildren() {
		sumUp(kinds, child)
	}
}
