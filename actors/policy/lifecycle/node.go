package lifecycle

// Liveness is what a master believes of a node. The zero value is unknown: not heard of since this master began.
type Liveness uint8

// The degrees of liveness.
const (
	NodeUnknown Liveness = iota // not heard of since this master began
	NodeFresh                   // heard of within the heartbeat's bound
	NodeSuspect                 // silent for too long; nothing new is placed there
	NodeLost                    // silent for so long that its work is placed elsewhere
	livenesses
)

// NodeEvent moves a node's liveness.
type NodeEvent uint8

// The events of a node.
const (
	NodeHeard  NodeEvent = iota // a message of its present session came
	NodeSilent                  // the bound of suspicion has passed without one
	NodeGone                    // the bound of loss has passed without one
	nodeEvents
)

// noMove marks the holes of the table; its zero value is NodeUnknown, to which nothing ever moves back.
const noMove = NodeUnknown

// nodeMoves is the whole machine. A node that was heard of is suspected before it is lost, so that one slow tick of the
// master never condemns it; a node that the master has not met yet has only the longer bound.
var nodeMoves = [livenesses][nodeEvents]Liveness{
	NodeUnknown: {NodeHeard: NodeFresh, NodeGone: NodeLost},
	NodeFresh:   {NodeHeard: NodeFresh, NodeSilent: NodeSuspect},
	NodeSuspect: {NodeHeard: NodeFresh, NodeSilent: NodeSuspect, NodeGone: NodeLost},
	NodeLost:    {NodeHeard: NodeFresh, NodeGone: NodeLost},
}

// Next is the liveness after e, and whether e is possible in l at all; if not, it stays l.
func (l Liveness) Next(e NodeEvent) (Liveness, bool) {
	if l >= livenesses || e >= nodeEvents || nodeMoves[l][e] == noMove {
		return l, false
	}
	return nodeMoves[l][e], true
}

// Places reports whether new work may be placed on such a node.
func (l Liveness) Places() bool { return l == NodeFresh }

var livenessNames = [livenesses]string{"unknown", "fresh", "suspect", "lost"}

// String is the liveness as the API spells it.
func (l Liveness) String() string { return nameOf(livenessNames[:], int(l)) }

// ParseLiveness reads what String writes.
func ParseLiveness(s string) (Liveness, bool) {
	i, ok := indexOf(livenessNames[:], s)
	return Liveness(i), ok
}

var nodeEventNames = [nodeEvents]string{"heard", "silent", "gone"}

// String is the name of the event.
func (e NodeEvent) String() string { return nameOf(nodeEventNames[:], int(e)) }
