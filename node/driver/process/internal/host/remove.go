//go:build linux || darwin

package host

import (
	"io/fs"
	"os"
	"path/filepath"
)

// RemoveAll removes a tree even if its directories are read-only, as those of some caches are.
func RemoveAll(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}
