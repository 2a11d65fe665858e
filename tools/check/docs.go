package main

import (
	"go/ast"
	"go/token"
	"slices"
)

// checkDocs wants one package comment in each package, and a comment on every exported name. Tests are left out, and
// generated code says in its schema what it means.
func checkDocs(t *tree, _ rules) ([]finding, error) {
	var found []finding
	first := map[string]*file{} // the first file of each package
	doc := map[string]string{}  // the file of its comment
	for _, f := range t.files {
		if f.test {
			continue
		}
		if first[f.dir] == nil {
			first[f.dir] = f
		}
		if f.ast.Doc != nil && doc[f.dir] != "" {
			found = append(found, t.at("docs", f.ast.Doc.Pos(), "second package comment: %s has one", doc[f.dir]))
		} else if f.ast.Doc != nil {
			doc[f.dir] = f.path
		}
		if !f.generated {
			found = append(found, undocumented(t, f)...)
		}
	}
	for dir, f := range first {
		if doc[dir] == "" {
			found = append(found, t.at("docs", f.ast.Package, "package %s has no package comment: say what it is for", f.ast.Name.Name))
		}
	}
	return found, nil
}

func undocumented(t *tree, f *file) []finding {
	var found []finding
	miss := func(name *ast.Ident) {
		found = append(found, t.at("docs", name.Pos(), "exported %s has no comment", name.Name))
	}
	for _, decl := range f.ast.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
				miss(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				for _, name := range bare(d, spec) {
					miss(name)
				}
			}
		}
	}
	return found
}

// bare are the exported names of a declaration that no comment speaks for: one on the group speaks for all constants
// and variables in it, and for a type that stands alone.
func bare(d *ast.GenDecl, spec ast.Spec) []*ast.Ident {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		alone := d.Doc != nil && d.Lparen == token.NoPos
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !alone {
			return []*ast.Ident{s.Name}
		}
	case *ast.ValueSpec:
		if d.Doc == nil && s.Doc == nil && s.Comment == nil {
			return slices.DeleteFunc(slices.Clone(s.Names), func(n *ast.Ident) bool { return !n.IsExported() })
		}
	}
	return nil
}

// exportedReceiver is true of functions, and of methods that can be called from elsewhere by name.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	x := d.Recv.List[0].Type
	for {
		switch r := x.(type) {
		case *ast.StarExpr:
			x = r.X
		case *ast.IndexExpr:
			x = r.X
		case *ast.IndexListExpr:
			x = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return true
		}
	}
}
