package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// loop judges whether the body of a range over a map does the same in any order. It knows a small set of forms that
// do, and takes everything else, calls above all, for something that may not.
type loop struct {
	info *types.Info
	stmt *ast.RangeStmt
	body *ast.BlockStmt // of the function around the loop
	// changed are the places outside of the loop that its body writes, as source text. Nothing else in the body may
	// read them, or an earlier round would be felt in a later one.
	changed map[string]bool
	// kinds tells for each such place the one kind of change it gets: kinds do not mix.
	kinds   map[string]string
	returns map[string]bool
}

func newLoop(info *types.Info, stmt *ast.RangeStmt, body *ast.BlockStmt) *loop {
	l := &loop{info: info, stmt: stmt, body: body, changed: map[string]bool{}, kinds: map[string]string{},
		returns: map[string]bool{}}
	ast.Inspect(stmt.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, place := range n.Lhs {
				l.change(place)
			}
		case *ast.IncDecStmt:
			l.change(n.X)
		case *ast.CallExpr:
			if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "delete" && len(n.Args) == 2 {
				l.change(n.Args[0])
			}
		}
		return true
	})
	return l
}

// change notes a place that the body writes: of m[k] it is m.
func (l *loop) change(place ast.Expr) {
	if index, ok := place.(*ast.IndexExpr); ok {
		place = index.X
	}
	if !l.local(place) {
		l.changed[types.ExprString(place)] = true
	}
}

// local reports whether a place is gone or left alone by the next round: it begins with a name of this round and
// either holds its value itself, or is the map's own value, which no other round meets.
func (l *loop) local(place ast.Expr) bool {
	shared := false // whether the way to the place leaves the name's own memory
	for {
		switch x := place.(type) {
		case *ast.Ident:
			obj := l.info.ObjectOf(x)
			if x.Name == "_" || obj != nil && shared && l.names(l.stmt.Value, obj) {
				return true
			}
			return obj != nil && !shared && obj.Pos() >= l.stmt.Pos() && obj.Pos() < l.stmt.End()
		case *ast.SelectorExpr:
			shared = shared || is[*types.Pointer](l.info.TypeOf(x.X))
			place = x.X
		case *ast.IndexExpr:
			shared = shared || !is[*types.Array](l.info.TypeOf(x.X))
			place = x.X
		case *ast.StarExpr:
			shared = true
			place = x.X
		case *ast.ParenExpr:
			place = x.X
		default:
			return false
		}
	}
}

// names reports whether x is the name of obj.
func (l *loop) names(x ast.Expr, obj types.Object) bool {
	name, ok := x.(*ast.Ident)
	return ok && name.Name != "_" && l.info.ObjectOf(name) == obj
}

// judge returns what stands against the loop, or nothing.
func (l *loop) judge() string {
	if l.stmt.Tok == token.ASSIGN {
		return "its key is left with the last one"
	}
	if why := l.block(l.stmt.Body.List); why != "" {
		return why
	}
	switch {
	case len(l.returns) > 1:
		return "it returns different values"
	case len(l.returns) == 1 && len(l.kinds) > 0:
		return "it returns early with work half done"
	}
	return ""
}

func (l *loop) block(list []ast.Stmt) string {
	for _, s := range list {
		if why := l.statement(s); why != "" {
			return why
		}
	}
	return ""
}

func (l *loop) statement(s ast.Stmt) string {
	switch s := s.(type) {
	case nil, *ast.EmptyStmt:
		return ""
	case *ast.BlockStmt:
		return l.block(s.List)
	case *ast.AssignStmt:
		return l.assign(s)
	case *ast.IncDecStmt:
		return l.add(s.X, "+", nil)
	case *ast.DeclStmt:
		return l.clean(s)
	case *ast.IfStmt:
		return first(l.statement(s.Init), l.clean(s.Cond), l.block(s.Body.List), l.statement(s.Else))
	case *ast.SwitchStmt:
		return first(l.statement(s.Init), l.clean(s.Tag), l.block(s.Body.List))
	case *ast.CaseClause:
		why := ""
		for _, x := range s.List {
			why = first(why, l.clean(x))
		}
		return first(why, l.block(s.Body))
	case *ast.RangeStmt:
		if s.Tok == token.ASSIGN {
			return "an inner loop writes names of outside"
		}
		return first(l.clean(s.X), l.block(s.Body.List))
	case *ast.ReturnStmt:
		return l.leave(s)
	case *ast.BranchStmt:
		if s.Tok == token.CONTINUE && s.Label == nil {
			return ""
		}
		return "it leaves at " + s.Tok.String()
	case *ast.ExprStmt:
		return l.drop(s.X)
	}
	return fmt.Sprintf("a %T is more than collecting", s)
}

func first(whys ...string) string {
	for _, why := range whys {
		if why != "" {
			return why
		}
	}
	return ""
}

func (l *loop) assign(s *ast.AssignStmt) string {
	if s.Tok != token.ASSIGN && s.Tok != token.DEFINE {
		return l.add(s.Lhs[0], strings.TrimSuffix(s.Tok.String(), "="), s.Rhs[0])
	}
	if len(s.Lhs) == 1 && len(s.Rhs) == 1 && s.Tok == token.ASSIGN && !l.local(s.Lhs[0]) {
		return l.set(s.Lhs[0], s.Rhs[0])
	}
	for _, place := range s.Lhs {
		if !l.local(place) {
			return fmt.Sprintf("%s is left with the last one", types.ExprString(place))
		}
	}
	why := ""
	for _, x := range s.Rhs {
		if call, ok := l.builtin(x, "append"); ok {
			why = first(why, l.cleanAll(call.Args))
			continue
		}
		why = first(why, l.clean(x))
	}
	return why
}

// set judges place = x for a place that outlives the round.
func (l *loop) set(place, x ast.Expr) string {
	text := types.ExprString(place)
	if call, ok := l.builtin(x, "append"); ok && types.ExprString(call.Args[0]) == text {
		if why := first(l.kind(text, "append"), l.cleanAll(call.Args[1:])); why != "" {
			return why
		}
		if !l.sortedLater(text) {
			return fmt.Sprintf("%s is collected and not sorted after the loop", text)
		}
		return ""
	}
	for _, bound := range []string{"min", "max"} {
		if call, ok := l.builtin(x, bound); ok && types.ExprString(call.Args[0]) == text {
			return first(l.kind(text, bound), l.cleanAll(call.Args[1:]))
		}
	}
	index, ok := place.(*ast.IndexExpr)
	if ok && is[*types.Map](l.info.TypeOf(index.X)) {
		base := types.ExprString(index.X)
		if l.isKey(index.Index) {
			return first(l.kind(base, "put"), l.clean(x))
		}
		if l.constant(x) {
			return first(l.kind(base, "put "+types.ExprString(x)), l.clean(index.Index))
		}
	}
	if l.constant(x) && !ok {
		return l.kind(text, "set "+types.ExprString(x))
	}
	return fmt.Sprintf("%s is left with the last one", text)
}

// add judges place op= x: whole numbers gather in any order.
func (l *loop) add(place ast.Expr, op string, x ast.Expr) string {
	text := types.ExprString(place)
	if l.local(place) {
		return l.clean(x)
	}
	if op == "-" {
		op = "+"
	}
	basic, ok := l.info.TypeOf(place).Underlying().(*types.Basic)
	if !ok || basic.Info()&types.IsInteger == 0 || !strings.Contains("+ * | & ^ &^", op) {
		return fmt.Sprintf("%s gathers with %s= what is no whole number", text, op)
	}
	if index, ok := place.(*ast.IndexExpr); ok {
		return first(l.kind(types.ExprString(index.X), op), l.clean(index.Index), l.clean(x))
	}
	return first(l.kind(text, op), l.clean(x))
}

// drop allows delete, which may repeat.
func (l *loop) drop(x ast.Expr) string {
	call, ok := l.builtin(x, "delete")
	if !ok {
		return fmt.Sprintf("it calls %s", types.ExprString(x))
	}
	base := types.ExprString(call.Args[0])
	if base == types.ExprString(l.stmt.X) && !l.isKey(call.Args[1]) {
		return fmt.Sprintf("it deletes others than its own key from %s", base)
	}
	return first(l.kind(base, "delete"), l.clean(call.Args[1]))
}

func (l *loop) leave(s *ast.ReturnStmt) string {
	parts := make([]string, len(s.Results))
	for i, x := range s.Results {
		if !l.constant(x) {
			return fmt.Sprintf("it returns %s of the first it meets", types.ExprString(x))
		}
		parts[i] = types.ExprString(x)
	}
	l.returns[strings.Join(parts, ", ")] = true
	return ""
}

// kind notes what is done to a place; two kinds at one place depend on which came first.
func (l *loop) kind(place, kind string) string {
	if had, ok := l.kinds[place]; ok && had != kind {
		return fmt.Sprintf("%s changes in two ways", place)
	}
	l.kinds[place] = kind
	return ""
}

func (l *loop) isKey(x ast.Expr) bool {
	used, ok := x.(*ast.Ident)
	return ok && l.names(l.stmt.Key, l.info.ObjectOf(used))
}

// constant reports whether x is the same in every round without looking.
func (l *loop) constant(x ast.Expr) bool {
	if tv, ok := l.info.Types[x]; ok && (tv.Value != nil || tv.IsNil()) {
		return true
	}
	lit, ok := x.(*ast.CompositeLit)
	return ok && len(lit.Elts) == 0
}

func (l *loop) cleanAll(list []ast.Expr) string {
	for _, x := range list {
		if why := l.clean(x); why != "" {
			return why
		}
	}
	return ""
}

// clean reports what in x could differ from round to round or have an effect of its own: calls, and reads of places
// that the loop writes.
func (l *loop) clean(x ast.Node) string {
	if x == nil {
		return ""
	}
	why := ""
	ast.Inspect(x, func(n ast.Node) bool {
		if why != "" {
			return false
		}
		switch n := n.(type) {
		case *ast.FuncLit:
			why = "it makes a function"
			return false
		case *ast.CallExpr:
			if !l.harmless(n) {
				why = fmt.Sprintf("it calls %s", types.ExprString(n.Fun))
				return false
			}
		}
		if e, ok := n.(ast.Expr); ok && l.changed[types.ExprString(e)] {
			why = fmt.Sprintf("it reads %s, which it changes", types.ExprString(e))
		}
		return why == ""
	})
	return why
}

// harmless calls have no effect and depend on their arguments alone: conversions, builtins that measure, the getters of
// generated messages, methods named Clone, and the packages of the standard library that only compute.
func (l *loop) harmless(call *ast.CallExpr) bool {
	if tv, ok := l.info.Types[call.Fun]; ok && tv.IsType() {
		return true
	}
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok && len(call.Args) == 0 && l.info.Selections[sel] != nil {
		obj := l.info.Selections[sel].Obj()
		getter := strings.HasPrefix(obj.Name(), "Get") && strings.Contains(obj.Pkg().Path(), "/protos/")
		if getter || obj.Name() == "Clone" {
			return true
		}
	}
	switch pkg, name, _ := strings.Cut(calleeOf(l.info, call), "."); pkg {
	case "strings", "strconv", "math", "math/bits", "cmp", "unicode", "unicode/utf8":
		return true
	case "slices", "maps":
		return slices.Contains([]string{"Clone", "Contains", "Index", "Equal", "Max", "Min", "BinarySearch"}, name)
	}
	for _, name := range []string{"len", "cap", "min", "max", "make", "new"} {
		if _, ok := l.builtin(call, name); ok {
			return true
		}
	}
	return false
}

func (l *loop) builtin(x ast.Expr, name string) (*ast.CallExpr, bool) {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return nil, false
	}
	fun, ok := call.Fun.(*ast.Ident)
	if !ok || fun.Name != name {
		return nil, false
	}
	_, ok = l.info.Uses[fun].(*types.Builtin)
	return call, ok
}

// sortedLater reports whether the function sorts the collected slice after the loop.
func (l *loop) sortedLater(text string) bool {
	sorted := false
	ast.Inspect(l.body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || call.Pos() < l.stmt.End() || len(call.Args) == 0 {
			return !sorted
		}
		name := calleeOf(l.info, call)
		if strings.HasPrefix(name, "slices.Sort") || strings.HasPrefix(name, "sort.") {
			arg := call.Args[0]
			if wrapped, ok := arg.(*ast.CallExpr); ok && len(wrapped.Args) == 1 { // sort.Sort(byName(x))
				arg = wrapped.Args[0]
			}
			sorted = sorted || types.ExprString(arg) == text
		}
		return !sorted
	})
	return sorted
}
