// Package jobfile reads job files. YAML, TOML and JSON share one schema, the message JobSpec: each format is read into
// the same tree of values with their places, and one walker over the message's descriptor turns the tree into the
// message. It is strict: what it does not understand is an error that says where it stands and what was probably meant.
package jobfile

// Limits of a job file, and of the list of what is wrong with it.
const (
	MaxBytes    = 1 << 20
	MaxDepth    = 32
	MaxFields   = 2048 // of one table; the TOML library's time grows with their square
	MaxProblems = 20
)
