package main

import (
	"go/ast"
	"slices"
	"strings"
)

// checkImports holds the table: who may import whom within the project, and which modules stay behind a wrapper.
// A test may import what it likes, but neither tools nor chaos.
func checkImports(t *tree, r rules) ([]finding, error) {
	var found []finding
	strangers := map[string]bool{}
	for _, f := range t.files {
		from, known := r.roomOf(f.dir)
		if !known && !strangers[f.dir] {
			strangers[f.dir] = true
			found = append(found, t.at("imports", f.ast.Package,
				"folder %s is in no room of the import table: give it one, with reasons, in tools/check/rules.go", f.dir))
		}
		for _, spec := range f.ast.Imports {
			target := importPath(spec)
			dir, ours := strings.CutPrefix(target, t.module+"/")
			switch {
			case target == t.module:
				found = append(found, t.at("imports", spec.Pos(), "the root holds no package"))
			case !ours:
				found = append(found, r.fenced(t, f, spec, target)...)
			case known:
				found = append(found, r.judge(t, f, spec, from, dir)...)
			}
		}
	}
	return found, nil
}

// home is the room of a folder, and the pattern among the room's dirs that matched it.
type home struct {
	room  room
	whole string
}

func (r rules) roomOf(dir string) (home, bool) {
	for _, room := range r.rooms {
		for _, pattern := range room.dirs {
			if matches(dir, pattern) {
				return home{room, pattern}, true
			}
		}
	}
	return home{}, false
}

func (r rules) judge(t *tree, f *file, spec *ast.ImportSpec, from home, dir string) []finding {
	if matches(dir, from.whole) {
		return nil
	}
	granted := slices.ContainsFunc(from.room.may, func(g grant) bool { return matches(dir, g.dir) })
	for _, g := range r.noone {
		if matches(dir, g.dir) && !granted {
			return []finding{t.at("imports", spec.Pos(), "nobody imports %s: %s", dir, g.why)}
		}
	}
	if f.test || granted {
		return nil
	}
	return []finding{t.at("imports", spec.Pos(), "%s may not import %s: it may import %s", f.dir, dir, from.room.list())}
}

func (r rules) fenced(t *tree, f *file, spec *ast.ImportSpec, target string) []finding {
	for _, fence := range r.fences {
		if !within(target, fence.module) || f.test {
			continue
		}
		if !slices.ContainsFunc(fence.dirs, func(p string) bool { return matches(f.dir, p) }) {
			return []finding{t.at("imports", spec.Pos(), "%s may not import %s, only %s may: %s",
				f.dir, target, strings.Join(fence.dirs, ", "), fence.why)}
		}
	}
	return nil
}

func (r room) list() string {
	if len(r.may) == 0 {
		return "nothing of the project"
	}
	names := make([]string, len(r.may))
	for i, g := range r.may {
		names[i] = g.dir
	}
	return strings.Join(names, ", ")
}

// matches reports whether dir is meant by a pattern: a folder, or with "/..." also what is below it.
func matches(dir, pattern string) bool {
	if top, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(dir, top)
	}
	return dir == pattern
}

// checkPolicy holds the decisions to an allow-list, so that none can reach a clock, a file or an actor.
func checkPolicy(t *tree, r rules) ([]finding, error) {
	var found []finding
	for _, f := range t.files {
		if f.test || !within(f.dir, r.policy.dir) {
			continue
		}
		for _, spec := range f.ast.Imports {
			target := importPath(spec)
			dir, ours := strings.CutPrefix(target, t.module+"/")
			allowed := slices.Contains(r.policy.std, target)
			if ours {
				allowed = slices.ContainsFunc(r.policy.rest, func(top string) bool { return within(dir, top) })
			}
			if !allowed {
				found = append(found, t.at("policy", spec.Pos(), "%s is not on the list of a decision: %s", target,
					strings.Join(append(slices.Clone(r.policy.rest), r.policy.std...), ", ")))
			}
		}
	}
	return found, nil
}
