package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// ReadInputs reads the results of one stage from a directory as Task.Inputs names it: <dir>/<stage>/<index>. A stage
// without a folder left no results. Files with other names are an error: nothing else belongs there.
func ReadInputs(dir, stage string) (map[uint64][]byte, error) {
	if !filepath.IsLocal(stage) || filepath.Base(stage) != stage {
		return nil, fmt.Errorf("inputs: stage %q is not a plain name", stage)
	}
	folder := filepath.Join(dir, stage)
	entries, err := os.ReadDir(folder)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inputs of stage %s: %w", stage, err)
	}
	results := make(map[uint64][]byte, len(entries))
	for _, e := range entries {
		index, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("inputs of stage %s: %q is not the index of an instance", stage, e.Name())
		}
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("inputs of stage %s: %w", stage, err)
		}
		if len(data) > ResultMax {
			return nil, fmt.Errorf("inputs of stage %s: %s has %d bytes, limit %d", stage, e.Name(), len(data), ResultMax)
		}
		results[index] = data
	}
	return results, nil
}
