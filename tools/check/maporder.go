package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// checkMapOrder finds the places in pure packages where the order of a map, which Go draws anew each time, could
// reach a decision. A loop passes if it visibly does the same in any order; otherwise its line, or the one above,
// carries "//order: reason".
func checkMapOrder(t *tree, _ rules) ([]finding, error) {
	code, err := t.typed()
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, p := range code.packages { // purity tells of those that do not compile
		if strings.HasSuffix(p.PkgPath, "test") { // suites for tests are no actors
			continue
		}
		for _, f := range p.Syntax {
			if ast.IsGenerated(f) {
				continue
			}
			m := &mapOrder{tree: t, info: p.TypesInfo, excused: excuses(t.fset, f)}
			m.walk(f)
			found = append(found, m.found...)
		}
	}
	return found, nil
}

type mapOrder struct {
	tree    *tree
	info    *types.Info
	excused map[int]bool // lines that an order comment speaks for
	found   []finding
}

// excuses are the lines that carry or follow an order comment with a reason.
func excuses(fset *token.FileSet, f *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, group := range f.Comments {
		for _, c := range group.List {
			if reason, ok := strings.CutPrefix(c.Text, "//order:"); ok && strings.TrimSpace(reason) != "" {
				line := fset.Position(c.Pos()).Line
				lines[line], lines[line+1] = true, true
			}
		}
	}
	return lines
}

func (m *mapOrder) walk(f *ast.File) {
	var stack []ast.Node
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		switch n := n.(type) {
		case *ast.RangeStmt:
			if _, iterated := m.iterator(n.X); is[*types.Map](m.info.TypeOf(n.X)) || iterated {
				m.loop(n, enclosing(stack))
			}
		case *ast.CallExpr:
			if name, ok := m.iterator(n); ok && !m.settled(stack) {
				m.add(n.Pos(), "%s yields in the order of a map: sort it (slices.Sorted, slices.SortedFunc)", name)
			}
		}
		stack = append(stack, n)
		return true
	})
}

func (m *mapOrder) add(pos token.Pos, format string, args ...any) {
	if f := m.tree.at("maporder", pos, format, args...); !m.excused[f.line] {
		m.found = append(m.found, f)
	}
}

func (m *mapOrder) loop(stmt *ast.RangeStmt, body *ast.BlockStmt) {
	if stmt.Key == nil && stmt.Value == nil {
		return // the same steps so many times
	}
	l := newLoop(m.info, stmt, body)
	if why := l.judge(); why != "" {
		m.add(stmt.Pos(), "the order of the map can be felt: %s; sort the keys first, or say //order: why it cannot matter", why)
	}
}

// iterator names the function if x is a call to one of package maps that yields in the map's order.
func (m *mapOrder) iterator(x ast.Expr) (string, bool) {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	name := calleeOf(m.info, call)
	return name, name == "maps.Keys" || name == "maps.Values" || name == "maps.All"
}

// settled reports whether what is around a call sorts its yield, puts it into a map again, or is a loop, which is
// judged as one.
func (m *mapOrder) settled(stack []ast.Node) bool {
	switch around := stack[len(stack)-1].(type) {
	case *ast.RangeStmt:
		return true
	case *ast.CallExpr:
		return slices.Contains([]string{"slices.Sorted", "slices.SortedFunc", "slices.SortedStableFunc", "maps.Collect",
			"maps.Insert"}, calleeOf(m.info, around))
	}
	return false
}

// calleeOf is the called function as package.Name, or nothing if it is no function of a package.
func calleeOf(info *types.Info, call *ast.CallExpr) string {
	fun := ast.Unparen(call.Fun)
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	sel, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	obj, ok := info.Uses[sel.Sel].(*types.Func)
	if !ok || obj.Pkg() == nil || obj.Signature().Recv() != nil {
		return ""
	}
	return obj.Pkg().Path() + "." + obj.Name()
}

// enclosing is the body of the innermost function on the stack.
func enclosing(stack []ast.Node) *ast.BlockStmt {
	for _, n := range slices.Backward(stack) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return n.Body
		case *ast.FuncLit:
			return n.Body
		}
	}
	return nil // a statement is always inside a function
}
