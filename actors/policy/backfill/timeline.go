package backfill

import "slices"

// Timeline knows what runs on each node and when that is expected to end. Work that does not end by itself, such as the
// replicas of a service, stays out of it: nobody waits for its room.
type Timeline struct {
	nodes []line
}

// line is the slots of one node.
type line struct {
	version uint64 // grows with every change
	slots   []running
}

// running is one slot.
type running struct {
	end  int64
	id   uint64
	each Amount
}

// Add notes a slot that holds each on a node until end, Never if nobody can tell. Ids are unique on a node.
func (t *Timeline) Add(node int32, id uint64, each Amount, end int64) {
	for int(node) >= len(t.nodes) {
		t.nodes = append(t.nodes, line{})
	}
	l := &t.nodes[node]
	i, _ := slices.BinarySearchFunc(l.slots, end, func(r running, end int64) int {
		if r.end <= end {
			return -1
		}
		return 1
	})
	l.slots = slices.Insert(l.slots, i, running{end: end, id: id, each: each})
	l.version++
}

// Remove forgets a slot, and reports whether it was there.
func (t *Timeline) Remove(node int32, id uint64) bool {
	i := t.find(node, id)
	if i < 0 {
		return false
	}
	l := &t.nodes[node]
	l.slots = slices.Delete(l.slots, i, i+1)
	l.version++
	return true
}

// Move corrects when a slot is expected to end, and reports whether it was there.
func (t *Timeline) Move(node int32, id uint64, end int64) bool {
	i := t.find(node, id)
	if i < 0 {
		return false
	}
	each := t.nodes[node].slots[i].each
	t.Remove(node, id)
	t.Add(node, id, each, end)
	return true
}

// Clear forgets all slots of a node.
func (t *Timeline) Clear(node int32) {
	if int(node) < len(t.nodes) {
		t.nodes[node] = line{version: t.nodes[node].version + 1}
	}
}

// Len returns how many slots a node has.
func (t *Timeline) Len(node int32) int {
	return len(t.on(node).slots)
}

// on returns the slots of a node, by their ends.
func (t *Timeline) on(node int32) *line {
	if node < 0 || int(node) >= len(t.nodes) {
		return &line{}
	}
	return &t.nodes[node]
}

// find is linear in the slots of a node, of which a node has at most a few thousand.
func (t *Timeline) find(node int32, id uint64) int {
	return slices.IndexFunc(t.on(node).slots, func(r running) bool { return r.id == id })
}
