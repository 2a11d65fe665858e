package main

import (
	_ "embed"
	"fmt"
	"go/ast"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

//go:embed capabilities.txt
var capabilitiesText string

// capability is one line of capabilities.txt.
type capability struct{ id, text string }

func capabilities() []capability {
	var list []capability
	for line := range strings.Lines(capabilitiesText) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, text, _ := strings.Cut(line, " ")
		list = append(list, capability{id, text})
	}
	return list
}

var (
	testName = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark|Example)((?:[A-Z][0-9]+_)+)`)
	// almost is what someone may write who means ids.
	almost = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark|Example)_?[BFASGWMX][0-9]+`)
)

// claim is a test that says it shows capabilities.
type claim struct {
	ids  []string
	file *file
	decl *ast.FuncDecl
}

// claims are the tests whose names carry ids, and findings for names that almost do.
func claims(t *tree) ([]claim, []finding) {
	var list []claim
	var found []finding
	for _, f := range t.files {
		if !f.test {
			continue
		}
		for _, decl := range f.ast.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || d.Recv != nil {
				continue
			}
			if m := testName.FindStringSubmatch(d.Name.Name); m != nil {
				list = append(list, claim{strings.Split(strings.TrimSuffix(m[1], "_"), "_"), f, d})
			} else if almost.MatchString(d.Name.Name) {
				found = append(found, t.at("testnames", d.Pos(),
					"%s: ids stand right after the prefix and each is followed by an underscore, as in TestF35_F36_Pushed", d.Name.Name))
			}
		}
	}
	return list, found
}

// checkTestNames finds ids in test names that stand for nothing.
func checkTestNames(t *tree, _ rules) ([]finding, error) {
	known := capabilities()
	list, found := claims(t)
	for _, c := range list {
		for _, id := range c.ids {
			if !slices.ContainsFunc(known, func(k capability) bool { return k.id == id }) {
				found = append(found, t.at("testnames", c.decl.Pos(), "%s: there is no capability %s in tools/check/capabilities.txt",
					c.decl.Name.Name, id))
			}
		}
	}
	return found, nil
}

// reportIDs prints every capability that has a test, with the tests, and at the end how many have none.
func reportIDs(w io.Writer, t *tree) error {
	list, _ := claims(t)
	tests := map[string][]string{}
	for _, c := range list {
		for _, id := range c.ids {
			tests[id] = append(tests[id], c.file.dir+"."+c.decl.Name.Name)
		}
	}
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	shown, all := 0, capabilities()
	for _, c := range all {
		if len(tests[c.id]) == 0 {
			continue
		}
		shown++
		for i, name := range tests[c.id] {
			if i > 0 {
				c = capability{}
			}
			fmt.Fprintf(out, "%s\t%s\t%s\n", c.id, c.text, name)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d of %d capabilities have a test\n", shown, len(all))
	return err
}
