//go:build !linux

package smalldisk

import "testing"

// Mount skips the test: only Linux can mount a file system of a given size in memory.
func Mount(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("a small file system can be mounted on Linux only")
	return ""
}
