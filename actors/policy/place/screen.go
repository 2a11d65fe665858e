package place

import "slices"

// Chain names the filters of a stage, in the order in which they are asked.
func (f *Fleet) Chain(s *Stage) []string {
	s.class.catchUp(f)
	var names []string
	for _, x := range f.filters(s) {
		names = append(names, x.name())
	}
	return names
}

// Screen asks the filters of a stage, all or those at these places of its chain, about nodes from up to to, and clears in
// admitted the bits of nodes that one of them refuses. Calls about different words of admitted may run side by side as
// long as nothing changes the fleet, when Chain was called before them. It is for measuring what that would bring; Place
// does not need it.
func (f *Fleet) Screen(s *Stage, chain []int, from, to NodeIndex, admitted []uint64) {
	filters := f.filters(s)
	if chain != nil {
		filters = slices.Collect(func(yield func(filter) bool) {
			for _, i := range chain {
				if !yield(filters[i]) {
					return
				}
			}
		})
	}
	for n := from; n < to; n++ {
		for _, x := range filters {
			if !x.admits(f, s, n) {
				admitted[n>>6] &^= 1 << (n & 63)
				break
			}
		}
	}
}
