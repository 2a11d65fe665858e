// Command check holds the rules of the house: who imports whom, purity of decisions and actors, comments, sizes,
// layout, format, vet, staticcheck and fresh generated code.
//
//	go run ./tools/check              all checks
//	go run ./tools/check imports ...  some of them
//	go run ./tools/check -list        what there is
//	go run ./tools/check ids          which capabilities have tests
//
// Every finding is a line file:line: check: text, and makes it exit with 1.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// check is one rule: it looks at the tree and tells where it is broken.
type check struct {
	name, about string
	run         func(*tree, rules) ([]finding, error)
}

// checks are all of them: what needs only the parsed files first, programs last.
func checks() []check {
	return []check{
		{"layout", "the top level holds only the agreed names", checkLayout},
		{"format", "every file is as gofmt leaves it", checkFormat},
		{"imports", "folders import only what their room may", checkImports},
		{"policy", "decisions import only an allow-list", checkPolicy},
		{"docs", "one package comment each, a comment on every exported name", checkDocs},
		{"sizes", "files and functions stay short", checkSizes},
		{"sleep", "no test sleeps", checkSleep},
		{"testnames", "capability ids in test names exist", checkTestNames},
		{"purity", "no clock, chance, goroutine, channel, lock or I/O in decisions and actors", checkPurity},
		{"maporder", "no map order reaches a decision", checkMapOrder},
		{"generated", "generated code is fresh", checkGenerated},
		{"vet", "go vet", checkVet},
		{"staticcheck", "staticcheck, as pinned in go.mod", checkStaticcheck},
	}
}

func main() {
	list := flag.Bool("list", false, "list the checks")
	flag.Parse()
	found, err := run(os.Stdout, *list, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
	if found > 0 {
		fmt.Fprintf(os.Stderr, "check: %d found\n", found)
		os.Exit(1)
	}
}

// run does what the arguments ask and returns how much it has found.
func run(w io.Writer, list bool, names []string) (int, error) {
	if list {
		for _, c := range checks() {
			fmt.Fprintf(w, "%-12s %s\n", c.name, c.about)
		}
		return 0, nil
	}
	root, err := findRoot(".")
	if err != nil {
		return 0, err
	}
	r := houseRules()
	t, err := readTree(root, r.pureDirs())
	if err != nil {
		return 0, err
	}
	if slices.Equal(names, []string{"ids"}) {
		return 0, reportIDs(w, t)
	}
	chosen, err := choose(names)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, c := range chosen {
		begun := time.Now()
		found, err := r.apply(t, c)
		if err != nil { // one check that cannot run does not hide the others
			found = append(found, finding{check: c.name, text: err.Error()})
		}
		for _, f := range found {
			fmt.Fprintln(w, f)
		}
		fmt.Fprintf(w, "%-12s %-4d found  %6.2fs\n", c.name, len(found), time.Since(begun).Seconds())
		total += len(found)
	}
	return total, nil
}

// choose finds checks by name; no name means all.
func choose(names []string) ([]check, error) {
	all := checks()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []check
	for _, name := range names {
		i := slices.IndexFunc(all, func(c check) bool { return c.name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, c := range all {
				known[i] = c.name
			}
			return nil, fmt.Errorf("there is no check %q; there are ids, %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// apply runs one check, takes away what is exempt, and reports exemptions that excuse nothing.
func (r rules) apply(t *tree, c check) ([]finding, error) {
	found, err := c.run(t, r)
	if err != nil {
		return nil, err
	}
	for _, e := range r.exempt {
		if e.check != c.name {
			continue
		}
		kept := slices.DeleteFunc(slices.Clone(found), func(f finding) bool {
			return e.at == f.path || e.at == f.path+":"+f.name
		})
		if len(kept) == len(found) {
			kept = append(kept, finding{check: c.name, text: fmt.Sprintf(
				"the exemption of %s (%s) in tools/check/rules.go excuses nothing any more: remove it", e.at, e.why)})
		}
		found = kept
	}
	sortFindings(found)
	return found, nil
}

func (r rules) pureDirs() []string {
	dirs := make([]string, len(r.pure))
	for i, p := range r.pure {
		dirs[i] = p.dir
	}
	return dirs
}
