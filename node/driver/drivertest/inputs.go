package drivertest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// writeInputs makes a directory as Task.Inputs names it, with the results of one stage, "before".
func writeInputs(t *testing.T, results map[uint64][]byte) string {
	t.Helper()
	dir := t.TempDir()
	stage := filepath.Join(dir, "before")
	if err := os.Mkdir(stage, 0o700); err != nil {
		t.Fatal(err)
	}
	for index, data := range results {
		if err := os.WriteFile(filepath.Join(stage, strconv.FormatUint(index, 10)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
