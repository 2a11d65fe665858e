package openb

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"strconv"
	"strings"
)

// Sequence is one play of a workload: which pods come in which order, and how nodes that score the same are told apart.
type Sequence struct {
	// Arrivals are indexes into the pods sorted by name (SortPods).
	Arrivals []int32
	// Ranks are, by index into the nodes sorted by name (SortNodes), their ranks: of equal scores the lowest rank wins.
	Ranks []int32
}

// SortPods sorts pods as the indexes of a Sequence count them.
func SortPods(pods []Pod) {
	slices.SortFunc(pods, func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
}

// SortNodes sorts nodes as the ranks of a Sequence count them.
func SortNodes(nodes []Node) {
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
}

// LoadSequence reads an order file, packed or not, for lists of so many pods and nodes.
func LoadSequence(path string, pods, nodes int) (Sequence, error) {
	return load(path, func(r io.Reader) (Sequence, error) { return ReadSequence(r, pods, nodes) })
}

// ReadSequence reads an order file: a line "order" with indexes of pods, and a line "perm10" with a rank a node, each of
// which appears once.
func ReadSequence(r io.Reader, pods, nodes int) (Sequence, error) {
	var s Sequence
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for line := 1; lines.Scan(); line++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		name, into, most := fields[0], &s.Arrivals, pods
		switch name {
		case "order":
		case "perm10":
			into, most = &s.Ranks, nodes
		default:
			return Sequence{}, fmt.Errorf("line %d: begins with %q, it must be order or perm10", line, name)
		}
		if *into != nil {
			return Sequence{}, fmt.Errorf("line %d: %s is there twice", line, name)
		}
		numbers, err := indexes(fields[1:], most)
		if err != nil {
			return Sequence{}, fmt.Errorf("line %d: %s%w", line, name, err)
		}
		*into = numbers
	}
	if err := lines.Err(); err != nil {
		return Sequence{}, err
	}
	return s, s.check(nodes)
}

// indexes are numbers from 0 to below most.
func indexes(fields []string, most int) ([]int32, error) {
	if len(fields) > MaxRows {
		return nil, fmt.Errorf(": %d numbers, at most %d are possible", len(fields), MaxRows)
	}
	numbers := make([]int32, len(fields))
	for i, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil || n < 0 || n >= most {
			return nil, fmt.Errorf("[%d] is %q, it must be a whole number from 0 to %d", i, field, most-1)
		}
		numbers[i] = int32(n)
	}
	return numbers, nil
}

func (s *Sequence) check(nodes int) error {
	switch {
	case s.Arrivals == nil:
		return fmt.Errorf("no line order")
	case s.Ranks == nil:
		return fmt.Errorf("no line perm10")
	case len(s.Ranks) != nodes:
		return fmt.Errorf("perm10: %d ranks for %d nodes", len(s.Ranks), nodes)
	}
	seen := make([]bool, nodes)
	for i, rank := range s.Ranks {
		if seen[rank] {
			return fmt.Errorf("perm10[%d] is %d again", i, rank)
		}
		seen[rank] = true
	}
	return nil
}

// Draw makes a sequence as the published study did, from a seed: all pods in a random order, and then pods drawn with
// replacement until they ask for percent hundredths of the nodes' devices; where all pods ask for more, pods are taken
// away at random until they do not. Then the nodes get random ranks. Pods must be sorted. The generator is the one of
// math/rand, whose numbers for a seed do not change, so that the same seed gives the same sequence everywhere.
func Draw(pods []Pod, nodes []Node, percent int64, seed int64) Sequence {
	chance := rand.New(rand.NewSource(seed))
	chance.Int() // the study prints one number first
	order := make([]int32, len(pods))
	for i := range order {
		order[i] = int32(i)
	}
	chance.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	asked, target := int64(0), int64(0)
	for _, n := range nodes {
		target += int64(n.Devices) * Whole
	}
	target = target * percent / 100
	for i := range pods {
		asked += pods[i].Total()
	}
	switch {
	case asked > target:
		for ; asked > target; order = order[:len(order)-1] {
			i := chance.Intn(len(order))
			asked -= pods[order[i]].Total()
			copy(order[i:], order[i+1:])
		}
	case asked > 0 && asked < target:
		for len(order) < MaxRows {
			i := int32(chance.Intn(len(pods)))
			if asked+int64(pods[i].Milli) > target { // the study looks at one device of the pod here
				break
			}
			asked += pods[i].Total()
			order = append(order, i)
		}
	}
	for range 10 {
		chance.Float64() // what the study's scheduler draws while it starts
	}
	return Sequence{Arrivals: order, Ranks: ranks(chance, len(nodes))}
}

func ranks(chance *rand.Rand, nodes int) []int32 {
	ranks := make([]int32, nodes)
	for i, rank := range chance.Perm(nodes) {
		ranks[i] = int32(rank)
	}
	return ranks
}
