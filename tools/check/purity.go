package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
)

// Pure packages decide the same for the same inputs and the same seed. So they take time, chance and ids from the
// actor's context, wait for nothing, start nothing and share nothing.

// banned are names of packages that bring in what a seed cannot replay.
var banned = map[string]struct {
	names   []string
	instead string
}{
	"time": {[]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		"take the time and timers from the actor's context"},
	"context": {[]string{"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause", "AfterFunc"},
		"deadlines belong to the edge"},
}

// seeded are the names of math/rand that do not draw from the global source.
var seeded = []string{"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "Source64", "PCG",
	"ChaCha8", "Zipf"}

// bannedImports are packages that a pure one has no use for.
var bannedImports = map[string]string{
	"sync":              "actors share nothing: send a message",
	"sync/atomic":       "actors share nothing: send a message",
	"golang.org/x/sync": "actors share nothing: send a message",
	"crypto/rand":       "draw from the actor's context",
	"unsafe":            "plain values only",
}

// outside are packages that reach outside of the process; rooms with io may import them.
var outside = []string{"os", "os/exec", "os/signal", "net", "net/http", "syscall"}

// checkPurity looks for clocks, chance, goroutines, channels, locks and I/O in the pure rooms, also in files that
// this machine's build constraints leave out.
func checkPurity(t *tree, r rules) ([]finding, error) {
	code, err := t.typed()
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, f := range code.broken {
		f.check = "purity"
		found = append(found, f)
	}
	known := map[string]*purity{}
	for _, p := range code.packages {
		for _, f := range p.Syntax {
			known[t.at("", f.Package, "").path] = &purity{tree: t, file: f, info: p.TypesInfo}
		}
	}
	for _, f := range t.files {
		i := slices.IndexFunc(r.pure, func(p pureRoom) bool { return within(f.dir, p.dir) })
		if i < 0 || f.test || f.generated || strings.HasSuffix(f.dir, "test") { // suites for tests are no actors
			continue
		}
		p := known[f.path]
		if p == nil {
			p = &purity{tree: t, file: f.ast}
		}
		p.io = r.pure[i].io
		found = append(found, p.check()...)
	}
	return found, nil
}

// purity looks at one file. Without types (a file left out by its build constraints) it judges by names.
type purity struct {
	tree  *tree
	file  *ast.File
	info  *types.Info
	io    bool
	found []finding
}

func (p *purity) add(pos token.Pos, format string, args ...any) {
	p.found = append(p.found, p.tree.at("purity", pos, format, args...))
}

func (p *purity) check() []finding {
	for _, spec := range p.file.Imports {
		p.imported(spec)
	}
	ast.Inspect(p.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			p.add(n.Pos(), "go statement: the actor is the unit of concurrency")
		case *ast.SelectStmt:
			p.add(n.Pos(), "select: an actor waits for nothing")
		case *ast.SendStmt:
			p.add(n.Pos(), "channel send: actors send messages")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				p.add(n.Pos(), "channel receive: an actor waits for nothing")
			}
		case *ast.RangeStmt:
			if is[*types.Chan](p.typeOf(n.X)) {
				p.add(n.Pos(), "range over a channel: an actor waits for nothing")
			}
		case *ast.CallExpr:
			p.call(n)
		case *ast.SelectorExpr:
			p.selector(n)
		}
		return true
	})
	return p.found
}

func (p *purity) imported(spec *ast.ImportSpec) {
	target := importPath(spec)
	for name, why := range bannedImports {
		if target == name || strings.Contains(name, ".") && within(target, name) {
			p.add(spec.Pos(), "import of %s: %s", target, why)
		}
	}
	if !p.io && slices.Contains(outside, target) {
		p.add(spec.Pos(), "import of %s: the world is reached through a port", target)
	}
	if spec.Name != nil && spec.Name.Name == "." {
		p.add(spec.Pos(), "dot import of %s: names must show where they come from", target)
	}
}

func (p *purity) call(call *ast.CallExpr) {
	name, ok := call.Fun.(*ast.Ident)
	if !ok || len(call.Args) == 0 {
		return
	}
	switch name.Name {
	case "make":
		if _, ok := call.Args[0].(*ast.ChanType); ok || is[*types.Chan](p.typeOf(call.Args[0])) {
			p.add(call.Pos(), "make of a channel: actors send messages")
		}
	case "close":
		if is[*types.Chan](p.typeOf(call.Args[0])) {
			p.add(call.Pos(), "close of a channel: actors send messages")
		}
	}
}

func (p *purity) selector(sel *ast.SelectorExpr) {
	from := p.packageOf(sel.X)
	switch from {
	case "":
		return
	case "math/rand", "math/rand/v2":
		if !slices.Contains(seeded, sel.Sel.Name) {
			p.add(sel.Pos(), "rand.%s draws from the global source: draw from the actor's context", sel.Sel.Name)
		}
	default:
		if b, ok := banned[from]; ok && slices.Contains(b.names, sel.Sel.Name) {
			p.add(sel.Pos(), "%s.%s: %s", from, sel.Sel.Name, b.instead)
		}
	}
}

// packageOf is the import path that an expression names, or nothing.
func (p *purity) packageOf(x ast.Expr) string {
	name, ok := x.(*ast.Ident)
	if !ok {
		return ""
	}
	if p.info != nil {
		if pkg, ok := p.info.Uses[name].(*types.PkgName); ok {
			return pkg.Imported().Path()
		}
		return ""
	}
	return importNamed(p.file, name.Name)
}

func (p *purity) typeOf(x ast.Expr) types.Type {
	if p.info == nil {
		return nil
	}
	return p.info.TypeOf(x)
}

// importNamed is the path that a name stands for by the imports of a file, or nothing.
func importNamed(f *ast.File, name string) string {
	for _, spec := range f.Imports {
		target := importPath(spec)
		called := path.Base(target)
		if strings.HasPrefix(called, "v") && strings.Trim(called[1:], "0123456789") == "" {
			called = path.Base(path.Dir(target))
		}
		if spec.Name != nil {
			called = spec.Name.Name
		}
		if called == name {
			return target
		}
	}
	return ""
}

// is reports whether a type, or one of the types a type parameter stands for, has the form T.
func is[T types.Type](t types.Type) bool {
	if t == nil {
		return false
	}
	if _, ok := t.Underlying().(T); ok {
		return true
	}
	param, ok := types.Unalias(t).(*types.TypeParam)
	if !ok {
		return false
	}
	return slices.ContainsFunc(terms(param.Constraint()), func(one types.Type) bool {
		_, ok := one.Underlying().(T)
		return ok
	})
}

// terms are the types that a constraint lists, as far as it lists them itself.
func terms(constraint types.Type) []types.Type {
	iface, ok := constraint.Underlying().(*types.Interface)
	if !ok {
		return nil
	}
	var list []types.Type
	for embedded := range iface.EmbeddedTypes() {
		union, ok := embedded.(*types.Union)
		if !ok {
			list = append(list, terms(embedded)...)
			continue
		}
		for term := range union.Terms() {
			list = append(list, term.Type())
		}
	}
	return list
}
