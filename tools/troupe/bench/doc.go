// Package bench measures whole paths through a cell, each with a limit taken in the same run to compare with:
// throughput through all actors with hollow agents, real processes through agent and shim, and submits over NATS.
// It is what "troupe bench" runs; pieces are measured by the benchmarks beside them.
package bench
