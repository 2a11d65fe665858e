// Package link is the network between the processes of a cell on one machine, made to fail: a Proxy stands in one
// connection's way and cuts, delays or breaks it; a Network gives every process a network namespace of its own (on Linux, as
// root), whose cable can be pulled.
//
// A cut keeps bytes, as a real one does: when it heals, what was sent meanwhile arrives late.
package link
