package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"os"
	"path"
	"slices"
	"strings"
)

// checkSizes holds files and functions to what a reader can take in. Generated code is not read.
func checkSizes(t *tree, r rules) ([]finding, error) {
	var found []finding
	for _, f := range t.files {
		if f.generated {
			continue
		}
		if n := bytes.Count(f.src, []byte("\n")); n > r.fileMax {
			found = append(found, t.at("sizes", f.ast.FileStart, "file of %d lines, at most %d: split it by subject", n, r.fileMax))
		}
		for _, decl := range f.ast.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := t.steps(d); n > r.funcMax {
				at := t.at("sizes", d.Pos(), "function %s of %d lines, at most %d: name its parts", d.Name.Name, n, r.funcMax)
				at.name = d.Name.Name
				found = append(found, at)
			}
		}
	}
	return found, nil
}

// steps counts the lines of a function. Tables (composite literals) are data: of each only the first line counts, but
// functions of several lines inside of one count in full.
func (t *tree) steps(d *ast.FuncDecl) int {
	line := func(p token.Pos) int { return t.fset.Position(p).Line }
	data := map[int]bool{}
	mark := func(from, to int, is bool) {
		for i := from; i <= to; i++ {
			data[i] = is
		}
	}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			mark(line(n.Pos())+1, line(n.End()), true)
		case *ast.FuncLit:
			if from, to := line(n.Pos()), line(n.End()); from < to {
				mark(from, to, false)
			}
		}
		return true
	})
	count := 0
	for i := line(d.Pos()); i <= line(d.End()); i++ {
		if !data[i] {
			count++
		}
	}
	return count
}

// checkSleep finds tests that hope something is done by then.
func checkSleep(t *tree, _ rules) ([]finding, error) {
	var found []finding
	for _, f := range t.files {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && importNamed(f.ast, x.Name) == "time" {
				found = append(found, t.at("sleep", sel.Pos(), "a test waits for an event or moves a clock, it never sleeps"))
			}
			return true
		})
	}
	return found, nil
}

// checkFormat finds files that gofmt would change.
func checkFormat(t *tree, _ rules) ([]finding, error) {
	var found []finding
	for _, f := range t.files {
		formatted, err := format.Source(f.src)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(formatted, f.src) {
			found = append(found, t.at("format", f.ast.FileStart, "not formatted: gofmt -w %s", f.path))
		}
	}
	return found, nil
}

// checkLayout holds the top level to the agreed names. Dot-files are free; what .gitignore names is left out.
func checkLayout(t *tree, r rules) ([]finding, error) {
	entries, err := os.ReadDir(t.root)
	if err != nil {
		return nil, err
	}
	leftovers := []string{"bin", "*.test", "*.prof", "*.pprof", "*.out", "*.exe"}
	var found []finding
	for _, e := range entries {
		name := e.Name()
		ignored := slices.ContainsFunc(leftovers, func(p string) bool { ok, _ := path.Match(p, name); return ok })
		if ignored || strings.HasPrefix(name, ".") || slices.Contains(r.layout, name) {
			continue
		}
		found = append(found, finding{check: "layout", path: name, line: 1,
			text: "not one of the agreed names of the top level: give it a place inside one of its folders"})
	}
	return found, nil
}
