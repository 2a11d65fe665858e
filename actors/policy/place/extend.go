package place

import "github.com/troupe-sched/troupe/actors/model"

// Filter is a filter of a program that embeds the cell. It must be a pure function of what it is shown.
type Filter interface {
	// Name is the stable word for it in explanations.
	Name() string
	// Admits reports whether the node may take one slot of the shape.
	Admits(v View, shape *Shape) bool
	// Refusal says in a few words why it refuses, and Remedy, as an ending of "it would fit on node n …", what would help.
	Refusal(v View, shape *Shape) (refusal, remedy string)
}

// Score is a score of a program that embeds the cell. It must be a pure function of what it is shown.
type Score interface {
	// Name is what queues and stages call it.
	Name() string
	// Rate says how good the node is for one more slot of the shape, which it can take: 0 to MaxScore, more is better.
	Rate(v View, shape *Shape) int64
}

// View is one node as filters and scores see it.
type View struct {
	fleet *Fleet
	node  NodeIndex
}

// ID is the node's name.
func (v View) ID() model.NodeID { return v.fleet.ids[v.node] }

// Node is what the node is. It must not be changed.
func (v View) Node() *Node { return v.fleet.Node(v.node) }

// Free is what the node has left.
func (v View) Free() model.Resources { return v.fleet.rows[v.node].free }

// FreeDevices is what is left of each device, in milli. It must not be changed.
func (v View) FreeDevices() []int32 {
	if e := v.fleet.extras[v.node]; e != nil {
		return e.free
	}
	return nil
}

// moreRule is a Filter in the chain of the rules.
type moreRule struct{ Filter }

func (moreRule) rule()          {}
func (m moreRule) name() string { return m.Name() }
func (m moreRule) admits(f *Fleet, s *Stage, n NodeIndex) bool {
	return m.Admits(View{f, n}, &s.shape)
}

func (m moreRule) refusal(f *Fleet, s *Stage, nodes []NodeIndex) string {
	text, _ := m.Refusal(View{f, nodes[0]}, &s.shape)
	return text
}

func (m moreRule) remedy(f *Fleet, s *Stage, n NodeIndex) string {
	_, text := m.Refusal(View{f, n}, &s.shape)
	return text
}
