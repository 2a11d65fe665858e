package load

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Attempt is what the outside world saw of one attempt.
type Attempt struct {
	Node, Stage       string
	UID, Index, Fence uint64
	// Number counts the attempts of the instance, as the cell told it.
	Number int
	// Begun and Ended are when it said so; Ended is zero if it did not.
	Begun, Ended time.Time
	// Begins and Ends are how often it said so: more than once is wrong.
	Begins, Ends int
}

// Effects reads what attempts have noted, by the time at which they began. Lines that make no sense are an error: they
// are written in one piece.
func Effects(dir string) ([]Attempt, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	attempts := map[uint64]*Attempt{}
	for _, f := range files {
		if err := effectsOf(filepath.Join(dir, f.Name()), f.Name(), attempts); err != nil {
			return nil, fmt.Errorf("effects of %s: %w", f.Name(), err)
		}
	}
	all := make([]Attempt, 0, len(attempts))
	for _, a := range attempts { //order: sorted below
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b Attempt) int { return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.Fence, b.Fence)) })
	return all, nil
}

func effectsOf(file, node string, attempts map[uint64]*Attempt) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		a, what, at, err := parseEffect(lines.Text())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		known := attempts[a.Fence]
		if known == nil {
			a.Node = node
			known = &a
			attempts[a.Fence] = known
		}
		if what == "b" {
			known.Begins++
			known.Begun = at
			continue
		}
		known.Ends++
		known.Ended = at
	}
	return lines.Err()
}

func parseEffect(line string) (a Attempt, what string, at time.Time, err error) {
	fields := strings.Fields(line)
	if len(fields) != 7 || fields[0] != "b" && fields[0] != "e" {
		return a, "", at, fmt.Errorf("%q is no note of an attempt", line)
	}
	var numbers [5]uint64
	for i, from := range []int{1, 2, 4, 5, 6} {
		if numbers[i], err = strconv.ParseUint(fields[from], 10, 64); err != nil {
			return a, "", at, fmt.Errorf("%q: %w", line, err)
		}
	}
	a = Attempt{UID: numbers[1], Stage: fields[3], Index: numbers[2], Number: int(numbers[3]), Fence: numbers[4]}
	return a, fields[0], time.Unix(0, int64(numbers[0])), nil
}
