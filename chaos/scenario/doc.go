// Package scenario reads what is to be done to a cell: how large it is, what work it is given, which faults strike it and
// when. A scenario is a small file in YAML, TOML or JSON:
//
//	about: The leader dies again and again
//	cell:   {masters: 3, nats: 3, nodes: 4}
//	load:   {services: 8, every: 300ms, clients: 3}
//	faults: [{at: 5s, fault: kill, who: leader, for: 1s}]
//	random: {every: 8s, of: [{fault: kill, who: leader, for: 1s}, {fault: stop, who: any master, for: 4s}]}
//	duration: 60s
//
// Times count from the moment at which the cell is up and its services run. Plan draws the random faults from a seed, so
// a scenario and a seed are one list of faults.
package scenario
