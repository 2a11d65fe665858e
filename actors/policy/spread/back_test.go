package spread

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestS24_NodesComeBack: a list whose nodes are put back with new scores goes on as its definition says: each round takes
// the best of every pod that has nodes when the round begins, in the order of their scores.
func TestS24_NodesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := drawNodes(t, 12)
		back := rapid.SliceOfN(rapid.Int64Range(-1, 5), 0, 30).Draw(t, "back") // -1 is not put back
		var list List
		list.Reset(nodes)
		pool := slices.Clone(nodes)
		var round, later []Node
		for step := 0; ; step++ {
			if len(round) == 0 {
				pool, later = append(pool, later...), nil
				round, pool = heads(pool)
			}
			got, more := list.Next()
			if more != (len(round) > 0) {
				t.Fatalf("step %d: more is %v, %d heads are left", step, more, len(round))
			}
			if !more {
				return
			}
			if got != round[0] {
				t.Fatalf("step %d: %v, want %v", step, got, round[0])
			}
			round = round[1:]
			if step < len(back) && back[step] >= 0 {
				got.Score = back[step]
				list.Back(got)
				later = append(later, got)
			}
		}
	})
}

// heads are the best nodes of all pods in the order of their scores, and the other nodes.
func heads(pool []Node) (list, rest []Node) {
	slices.SortFunc(pool, Compare)
	seen := map[int32]bool{}
	for _, n := range pool {
		if seen[n.Pod] {
			rest = append(rest, n)
		} else {
			seen[n.Pod] = true
			list = append(list, n)
		}
	}
	return list, rest
}
