// Package fabric carries the agent protocol between master and agents: over NATS core. (Within one process
// they hand messages over without it; see actors.Cell.)
//
// It promises little, because the protocol above it numbers, acknowledges and repeats what matters: a message arrives
// whole or not at all, to the node it names only, and Send never blocks. At its limits it drops and counts. Items of
// one direction keep their order as long as none is lost; signs of life and captured output travel apart from them, on
// connections of their own, so that neither waits for the other.
package fabric
