package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/tools/go/packages"
)

// tree is the source of the project, read and parsed once; all checks look at it.
type tree struct {
	root   string // absolute
	module string
	fset   *token.FileSet
	files  []*file // every Go file outside of testdata, whatever its build constraints, by path
	// typed loads the pure packages with their types, once, when a check first asks.
	typed func() (typed, error)
}

// typed are packages with their types, and what keeps others from having them.
type typed struct {
	packages []*packages.Package
	broken   []finding
}

// file is one Go file. Its paths are relative to the root, with slashes.
type file struct {
	path, dir       string
	src             []byte
	ast             *ast.File
	test, generated bool
}

// finding is one broken rule at one place.
type finding struct {
	check string
	path  string
	line  int
	text  string
	name  string // of the function, where an exemption may name one
}

func (f finding) String() string {
	if f.path == "" {
		return fmt.Sprintf("%s: %s", f.check, f.text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.path, f.line, f.check, f.text)
}

func sortFindings(found []finding) {
	slices.SortFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.check, b.check), cmp.Compare(a.path, b.path), cmp.Compare(a.line, b.line),
			cmp.Compare(a.text, b.text))
	})
}

// findRoot goes up from dir to the folder that holds go.mod.
func findRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		up := filepath.Dir(at)
		if up == at {
			return "", fmt.Errorf("no go.mod in %s or above it: run this inside the project", dir)
		}
		at = up
	}
}

// readTree parses everything under root; pure names the folders that typed loads.
func readTree(root string, pure []string) (*tree, error) {
	module, err := moduleOf(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, module: module, fset: token.NewFileSet()}
	t.typed = sync.OnceValues(func() (typed, error) { return t.load(pure) })
	err = filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if full != root && foreign(full, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(full) != ".go" {
			return nil
		}
		return t.parse(full)
	})
	return t, err
}

// foreign reports whether a folder is none of the project's packages: the go command ignores it too.
func foreign(full, name string) bool {
	if name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(full, "go.mod"))
	return err == nil
}

func moduleOf(gomod string) (string, error) {
	src, err := os.ReadFile(gomod)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(src)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s names no module", gomod)
}

func (t *tree) parse(full string) error {
	rel, err := filepath.Rel(t.root, full)
	if err != nil {
		return err
	}
	src, err := os.ReadFile(full)
	if err != nil {
		return err
	}
	name := filepath.ToSlash(rel)
	parsed, err := parser.ParseFile(t.fset, full, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	t.files = append(t.files, &file{
		path: name, dir: path.Dir(name), src: src, ast: parsed,
		test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(parsed),
	})
	return nil
}

// load type-checks the packages under dirs that are there, from the source; what they import comes from export data.
func (t *tree) load(dirs []string) (typed, error) {
	var patterns []string
	for _, dir := range dirs {
		if slices.ContainsFunc(t.files, func(f *file) bool { return within(f.dir, dir) && !f.test }) {
			patterns = append(patterns, "./"+dir+"/...")
		}
	}
	if len(patterns) == 0 {
		return typed{}, nil
	}
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedSyntax |
			packages.NeedImports | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedTypesSizes,
		Dir: t.root, Fset: t.fset,
	}, patterns...)
	if err != nil {
		return typed{}, err
	}
	var out typed
	for _, p := range loaded {
		if len(p.Errors) == 0 {
			out.packages = append(out.packages, p)
			continue
		}
		// The last error is the most telling: the go command's own summary comes first.
		out.broken = append(out.broken, finding{text: fmt.Sprintf("%s does not compile, so it is judged by names only: %s (%d errors)",
			p.PkgPath, strings.TrimPrefix(p.Errors[len(p.Errors)-1].Error(), t.root+"/"), len(p.Errors))})
	}
	return out, nil
}

// at makes a finding at a position.
func (t *tree) at(check string, pos token.Pos, format string, args ...any) finding {
	p := t.fset.Position(pos)
	rel, err := filepath.Rel(t.root, p.Filename)
	if err != nil {
		rel = p.Filename
	}
	return finding{check: check, path: filepath.ToSlash(rel), line: p.Line, text: fmt.Sprintf(format, args...)}
}

// within reports whether dir is top or a folder below it.
func within(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }

// importPath is the path that an import names.
func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value // the parser has accepted it, so this cannot be
	}
	return p
}
