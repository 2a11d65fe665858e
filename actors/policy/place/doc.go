// Package place decides on which nodes slots go, and says why.
//
// A Fleet is the nodes of a cell in columns. A Stage is the slots of one stage of one job: what each needs, where it may
// go, and where they are. Place chooses nodes for more of them and books them; Take and Give book what others decided;
// Explain tells who refuses and what would help.
//
//	fleet := place.NewFleet(place.Options{})
//	n := fleet.Put("n1", place.Node{Capacity: …, Attributes: …, Devices: …})
//	stage := fleet.Stage(place.ShapeOf(plan, queue, labels, band))
//	for _, a := range fleet.Place(stage, place.Ask{Slots: 10}, nil) { … } // booked
//	fleet.Give(stage, n, place.Slots{Each: …, Count: 2})                    // two of them have ended
//	fleet.End(stage)
//
// A decision has two phases. Filters say where a slot may go: standing ones look at what a node is, room at what it has
// left, and rules at where other slots are. Scores choose among the nodes that are left. Both are small values in ordered
// chains, and a program that embeds the cell can add its own (Options).
//
// Three things make it fast, as in "Large-scale cluster management at Google with Borg" (Verma et al., EuroSys 2015), and
// each can be switched off to show what it is worth: stages of one shape share a class, which knows the nodes believed to
// have room (equivalence classes); a class remembers its best candidates with their scores (score cache); and it looks
// at a few nodes drawn by chance instead of all (relaxed randomisation). Remembering the best of the last draw makes the
// next draw much better than its size says (Mitzenmacher, Prabhakar, Shah, "Load Balancing with Memory", FOCS 2002).
// Of many nodes, the chance that the chosen one is not among the best q is at most (1-q)^8, if neighbours are unlike, for
// neighbours are drawn together: they lie side by side in memory. Of few nodes (scanned), and in Exact fleets, it is the
// best. With several rules of full weight about spread, the sum of what they count is the least among the nodes looked at.
// A node is dropped from a class when it is met without room, and comes back when it gains some, so that a class that
// finds nothing has nothing: before it says so it has looked at every node.
//
// It is pure: no clock, no order of a map, and chance from the Fleet's own seed. Equal calls in equal order give equal
// answers. A Fleet belongs to one goroutine.
package place
