// Package durability tries whether the journal keeps what it has acknowledged. Writers append chained records through the
// real stores, as many at a time as a busy master, and remember outside of them what was acknowledged. Meanwhile the power
// of the disks is cut (package lossyfs), processes are killed, and leaders of streams are made to step down. After each of
// these everything acknowledged must be there, once and in order, and the chain whole.
//
// A record is acknowledged when the done of its append says so; many share one write, as in a master that is busy. What
// was not acknowledged may be there or not.
package durability
