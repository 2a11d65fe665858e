// Package model holds the values that all actors speak: names and numbers that identify things, resources as
// integers, job specs compiled from their written form, and the cell's hard state with the one function that changes it.
// Nothing here does I/O, reads a clock or draws a random number.
package model
