// Package compose puts the parts of a cell together into what a person starts: a cell in one process that runs a job, a
// lasting cell on one machine, a master, a node, each with its NATS server or connection, its stores, its API and the
// port for metrics and health. It decides nothing that the parts decide; it opens them in order and closes them in reverse.
package compose
