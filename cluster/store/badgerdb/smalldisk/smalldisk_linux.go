package smalldisk

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// Mount mounts a tmpfs of that many bytes for the test and returns its directory. It skips the test where the user may
// not mount.
func Mount(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skipf("a disk of its own needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		// A database that was left open on purpose, as on a full disk, still holds files: detach.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}
