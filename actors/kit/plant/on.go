//go:build planted

package plant

var planted Bug

// Plant plants one bug instead of the one before; None plants none. It is for the start of a run, not for the middle.
func Plant(b Bug) { planted = b }

// Is reports whether a bug is planted.
func Is(b Bug) bool { return planted == b }
