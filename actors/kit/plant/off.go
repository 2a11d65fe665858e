//go:build !planted

package plant

// Is reports whether a bug is planted: never, in this build.
func Is(Bug) bool { return false }
