// Package plain plays workloads by the book: one loop, no actors, nothing fast. It is what the production actors are
// compared with, and it reproduces published figures.
package plain
