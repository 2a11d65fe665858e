package config

import "strings"

// Error is all that is wrong with a configuration.
type Error struct {
	Problems []Problem
}

// Problem is one thing that is wrong: with which key, told by whom, and what would be right.
type Problem struct {
	// Key such as nats.url; empty if the place as a whole is wrong.
	Key string
	// Source is a file, a variable, a flag, a context or "default".
	Source  string
	Problem string
	// Hint may be empty.
	Hint string
}

// String is the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	if p.Key != "" {
		b.WriteString(p.Key + " (" + p.Source + "): ")
	} else {
		b.WriteString(p.Source + ": ")
	}
	b.WriteString(p.Problem)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Error is a line for each problem.
func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "configuration: " + e.Problems[0].String()
	}
	lines := []string{"configuration:"}
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}
