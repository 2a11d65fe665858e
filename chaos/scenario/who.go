package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Who says whom a fault strikes, in words with commas between:
//
//	leader            the master that leads
//	followers         the masters that do not
//	nats-leader       the NATS server that leads the journal's stream
//	any node          one that is drawn; "2 nodes" are two
//	all masters       every one
//	node-2            the one of that name
//
// Roles are master, node, nats and shim; that of a shim is the process behind one slot of a node.
type Who string

// Pick is one part of a Who.
type Pick struct {
	// ID names one process; else Role says of what kind they are.
	ID, Role string
	// Leader of that role; Follower: only those that do not lead.
	Leader, Follower bool
	// Count is how many are drawn; 0 means all.
	Count int
}

var plural = map[string]string{"masters": "master", "nodes": "node", "shims": "shim"}

// Picks takes it apart.
func (w Who) Picks() ([]Pick, error) {
	var picks []Pick
	for part := range strings.SplitSeq(string(w), ",") {
		p, err := pickOf(strings.Fields(part))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", strings.TrimSpace(part), err)
		}
		picks = append(picks, p)
	}
	return picks, nil
}

func pickOf(words []string) (Pick, error) {
	switch {
	case len(words) == 1:
		switch words[0] {
		case "leader":
			return Pick{Role: "master", Leader: true}, nil
		case "nats-leader":
			return Pick{Role: "nats", Leader: true}, nil
		case "follower":
			return Pick{Role: "master", Follower: true, Count: 1}, nil
		case "followers":
			return Pick{Role: "master", Follower: true}, nil
		}
		role, number, ok := strings.Cut(words[0], "-")
		if n, err := strconv.Atoi(number); ok && err == nil && n > 0 && roleOf(role) != "" {
			return Pick{ID: words[0], Role: role}, nil
		}
	case len(words) == 2 && roleOf(words[1]) != "":
		role := roleOf(words[1])
		n, err := strconv.Atoi(words[0])
		switch {
		case words[0] == "all":
			return Pick{Role: role}, nil
		case words[0] == "any":
			return Pick{Role: role, Count: 1}, nil
		case err == nil && n > 0:
			return Pick{Role: role, Count: n}, nil
		}
	}
	return Pick{}, fmt.Errorf("it names nobody; right would be leader, followers, nats-leader, any node, 2 nodes, all masters or node-2")
}

// roleOf is the role that a word means, in singular or plural; empty if it means none.
func roleOf(word string) string {
	if one, ok := plural[word]; ok {
		return one
	}
	if slices.Contains(allRoles, word) {
		return word
	}
	return ""
}
