package compose

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// treeMetrics tell of actors. They are summed up by kind, so that the number of series does not grow with that of jobs
// and nodes. The sums are gauges, no counters: they fall when an actor goes, and a counter that falls would count as one
// that began anew.
type treeMetrics struct {
	actors, restarts, mailbox, fullest, handled *prometheus.Desc
}

func newTreeMetrics(labels prometheus.Labels) *treeMetrics {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("troupe_"+name, help, []string{"kind"}, labels)
	}
	return &treeMetrics{
		actors:   desc("actors", "Live actors."),
		restarts: desc("actor_restarts", "Restarts after a crash of the actors that live now."),
		mailbox:  desc("actor_mailbox_messages", "Messages that wait in mailboxes."),
		fullest:  desc("actor_mailbox_fullest_ratio", "How full the fullest mailbox is, from 0 to 1."),
		handled:  desc("actor_messages", "Messages handled by the actors that live now."),
	}
}

func (m *treeMetrics) describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.actors, m.restarts, m.mailbox, m.fullest, m.handled} {
		out <- d
	}
}

// sums of the actors of one kind.
type sums struct{ actors, restarts, mailbox, fullest, handled float64 }

func (m *treeMetrics) collect(out chan<- prometheus.Metric, root *v1.TreeNode) {
	kinds := map[string]*sums{}
	if root != nil {
		sumUp(kinds, root, "")
	}
	for kind, s := range kinds {
		for _, metric := range []struct {
			desc  *prometheus.Desc
			value float64
		}{{m.actors, s.actors}, {m.restarts, s.restarts}, {m.mailbox, s.mailbox}, {m.fullest, s.fullest}, {m.handled, s.handled}} {
			out <- prometheus.MustNewConstMetric(metric.desc, prometheus.GaugeValue, metric.value, kind)
		}
	}
}

func sumUp(kinds map[string]*sums, n *v1.TreeNode, parent string) {
	kind := kindOf(n, parent)
	s := kinds[kind]
	if s == nil {
		s = &sums{}
		kinds[kind] = s
	}
	s.actors++
	s.restarts += float64(n.GetRestarts())
	s.mailbox += float64(n.GetMailbox())
	s.handled += float64(n.GetHandled())
	if n.GetMailboxMax() > 0 {
		s.fullest = max(s.fullest, float64(n.GetMailbox())/float64(n.GetMailboxMax()))
	}
	for _, child := range n.GetChildren() {
		sumUp(kinds, child, n.GetName())
	}
}

// kindOf is what an actor is: what it says, or else what its supervisor is for ("jobs" has actors of kind "job"), or
// else its own name. Names of single actors are few, those of jobs are not.
func kindOf(n *v1.TreeNode, parent string) string {
	switch {
	case n.GetKind() != "":
		return n.GetKind()
	case parent == "attempts":
		return "slot"
	case strings.HasSuffix(parent, "s"):
		return strings.TrimSuffix(parent, "s")
	}
	return n.GetName()
}
