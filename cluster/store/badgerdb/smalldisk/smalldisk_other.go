//go:build !linux

// Package smalldisk gives tests a file system of their own that is soon full.
package smalldisk

import "testing"

// Mount skips the test: only Linux can mount a file system of a given size in memory.
func Mount(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("a small file system can be mounted on Linux only")
	return ""
}
