// Package client reaches a cell over NATS: the port api.Cell, so that a program does not see whether its cell is embedded
// or far away, and a watch over events.
//
// What may help is tried again by itself, because every verb of the API can be repeated (a submit carries a key): when
// no master answers, when an answer is late, when the cell is busy. The context bounds it all. What remains is a
// *model.Fault that says what to do about it.
package client
