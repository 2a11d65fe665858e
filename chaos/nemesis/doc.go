// Package nemesis strikes a cell of processes with the faults of a scenario, each at its time. Every fault is undone after its
// own time, and also when the run is interrupted: nothing that it stopped stays stopped, nothing that it cut stays cut.
package nemesis
