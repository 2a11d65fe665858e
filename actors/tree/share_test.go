package tree_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Actors share by message and not by variable: their packages have no variables that outlive a message but those of the
// actor itself, and nothing with which goroutines share memory. The journal's Keeper, its Follower and its port stand outside the actor.
func TestS11_ActorsShareByMessageAndNotByVariable(t *testing.T) {
	outside := map[string]bool{"follower.go": true, "keeper.go": true, "port.go": true, "recover.go": true, "record.go": true}
	files := 0
	for _, room := range []string{"gateway", "queue", "job", "node", "placer", "names", "journal"} {
		paths, err := filepath.Glob(filepath.Join("..", room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") || outside[filepath.Base(path)] {
				continue
			}
			files++
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, imported := range file.Imports {
				if p := imported.Path.Value; strings.HasPrefix(p, `"sync`) {
					t.Errorf("%s imports %s", path, p)
				}
			}
			for _, decl := range file.Decls {
				if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
					for _, name := range d.Specs[0].(*ast.ValueSpec).Names {
						if name.Name != "_" {
							t.Errorf("%s: variable %s is shared by all actors of the package", set.Position(name.Pos()), name.Name)
						}
					}
				}
			}
		}
	}
	if files < 15 {
		t.Fatalf("%d files were looked at: they have moved", files)
	}
}
