// Package load gives a cell work while it is struck, and notes what it was told: services that must outlive everything, a
// stream of batch jobs, and clients whose histories are judged. Every attempt notes in a file of its node that it has begun
// and ended, and under which fence: what the outside world saw of it, whatever the cell believes.
package load
