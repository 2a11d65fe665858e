package compose

import "golang.org/x/sys/unix"

// exchange makes each of two directories stand where the other stood, at one moment.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}
