package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// programs run on the whole module and have tests of their own.
var programs = []string{"generated", "vet", "staticcheck"}

// TestHouse holds the rules over this project, but for the programs, which make check runs.
func TestHouse(t *testing.T) {
	root, err := findRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	r := houseRules()
	tree, err := readTree(root, r.pureDirs())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks() {
		if slices.Contains(programs, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			found, err := r.apply(tree, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				t.Error(f)
			}
		})
	}
}

// TestEveryCheckCanFail runs each check on a sample of testdata that breaks its rule. The sample's comment says what
// must be found, and nothing else may be.
func TestEveryCheckCanFail(t *testing.T) {
	t.Setenv("GOWORK", "off")
	for _, c := range checks() {
		if slices.Contains(programs, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			archive, err := txtar.ParseFile(filepath.Join("testdata", c.name+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			r := sampleRules(t, archive)
			found, err := r.apply(extract(t, archive, r), c)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, found, wants(archive), c.name)
		})
	}
}

func sampleRules(t *testing.T, archive *txtar.Archive) rules {
	r := houseRules()
	r.exempt = nil
	for line := range strings.Lines(string(archive.Comment)) {
		if strings.HasPrefix(line, "set ") {
			if _, err := fmt.Sscanf(line, "set fileMax=%d funcMax=%d", &r.fileMax, &r.funcMax); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// extract writes a sample into a folder and reads it as a tree.
func extract(t *testing.T, archive *txtar.Archive, r rules) *tree {
	t.Helper()
	root := t.TempDir()
	for _, f := range archive.Files {
		name := filepath.Join(root, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := readTree(root, r.pureDirs())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func wants(archive *txtar.Archive) []string {
	var list []string
	for line := range strings.Lines(string(archive.Comment)) {
		if want, ok := strings.CutPrefix(strings.TrimSpace(line), "want "); ok {
			list = append(list, want)
		}
	}
	return list
}

var place = regexp.MustCompile(`^(\S+:\d+): (.*)$`)

// compare pairs what was found with what was wanted: the same place, and the wanted words in the text.
func compare(t *testing.T, found []finding, wanted []string, check string) {
	t.Helper()
	if len(wanted) == 0 {
		t.Error("the sample wants nothing: this check could not fail")
	}
	for _, f := range found {
		i := slices.IndexFunc(wanted, func(want string) bool {
			m := place.FindStringSubmatch(want)
			return m != nil && m[1] == fmt.Sprintf("%s:%d", f.path, f.line) && strings.Contains(f.text, m[2]) && f.check == check
		})
		if i < 0 {
			t.Errorf("not wanted: %s", f)
			continue
		}
		wanted = slices.Delete(slices.Clone(wanted), i, i+1)
	}
	for _, want := range wanted {
		t.Errorf("not found: %s", want)
	}
}

func TestExemptions(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "sizes.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	r := sampleRules(t, archive)
	r.exempt = []exemption{
		{"sizes", "actors/long/file.go", "whole file"},
		{"sizes", "actors/long/func.go:steps", "one function"},
		{"sizes", "actors/long/func.go:table", "excuses nothing"},
		{"docs", "actors/long/func.go", "of another check"},
	}
	sizes := checks()[slices.IndexFunc(checks(), func(c check) bool { return c.name == "sizes" })]
	found, err := r.apply(extract(t, archive, r), sizes)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.String())
	}
	want := []string{
		"sizes: the exemption of actors/long/func.go:table (excuses nothing) in tools/check/rules.go excuses nothing any more: remove it",
		"actors/long/func.go:28: sizes: function hides of 11 lines, at most 8: name its parts",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestProgramsCanFail(t *testing.T) {
	for _, test := range []struct {
		name string
		argv []string
		want string
	}{
		{"vet", []string{"go", "vet", "./testdata/vet"}, "has arg 7 of wrong type int"},
		{"staticcheck", []string{"go", "tool", "staticcheck", "./testdata/staticcheck"}, "S1002"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := program(".", test.name, test.argv...)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(found, func(f finding) bool { return strings.Contains(f.text, test.want) }) {
				t.Errorf("found %v, want %s", found, test.want)
			}
		})
	}
	if found, err := program(".", "vet", "go", "version"); err != nil || len(found) != 0 {
		t.Errorf("a program that succeeds: %v, %v", found, err)
	}
	if _, err := program(".", "vet", "there-is-no-such-program"); err == nil {
		t.Error("a program that is not there passes")
	}
}

// TestStaleCodeIsFound changes one schema after its code was generated.
func TestStaleCodeIsFound(t *testing.T) {
	root, err := findRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "protos"), os.DirFS(filepath.Join(root, "protos"))); err != nil {
		t.Fatal(err)
	}
	schema := filepath.Join(dir, "protos", "v1", "job.proto")
	src, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(schema, append(src, "message Late { string name = 1; }\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := generated(root, dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(found, func(f finding) bool { return strings.Contains(f.text, "job.pb.go is stale") }) {
		t.Errorf("found %v", found)
	}
}

func TestCodeThatDoesNotCompileIsAFinding(t *testing.T) {
	t.Setenv("GOWORK", "off")
	archive := txtar.Parse([]byte("-- go.mod --\nmodule github.com/troupe-sched/troupe\n" +
		"-- actors/job/job.go --\npackage job\n\nvar x int = \"\"\n\nfunc f() { go f() }\n"))
	r := houseRules()
	found, err := checkPurity(extract(t, archive, r), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"actors/job does not compile, so it is judged by names only: ", "go statement"} {
		if !slices.ContainsFunc(found, func(f finding) bool { return strings.Contains(f.text, want) }) {
			t.Errorf("found %v, want %q", found, want)
		}
	}
}

func TestReportListsCapabilitiesWithTheirTests(t *testing.T) {
	archive, err := txtar.ParseFile(filepath.Join("testdata", "testnames.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := reportIDs(&out, extract(t, archive, houseRules())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"B46  running work survives the death of master and agent  actors/kit.TestB46_AgentDies\n",
		"actors/kit.BenchmarkF36_Messages", "actors/kit.TestB46_F6_Half", fmt.Sprintf("2 of %d capabilities have a test", len(capabilities())),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestCapabilitiesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range capabilities() {
		if !regexp.MustCompile(`^[BFASGWMX][1-9][0-9]?$`).MatchString(c.id) || c.text == "" || seen[c.id] {
			t.Errorf("bad or second line for %q: %q", c.id, c.text)
		}
		seen[c.id] = true
	}
}

func TestRunByName(t *testing.T) {
	var out bytes.Buffer
	if found, err := run(&out, true, nil); err != nil || found != 0 || strings.Count(out.String(), "\n") != len(checks()) {
		t.Errorf("-list: %d, %v\n%s", found, err, out.String())
	}
	if _, err := run(&out, false, []string{"import"}); err == nil || !strings.Contains(err.Error(), `no check "import"; there are ids, layout, format, imports`) {
		t.Errorf("unknown check: %v", err)
	}
	out.Reset()
	if found, err := run(&out, false, []string{"layout", "format"}); err != nil || found != 0 || strings.Count(out.String(), "found") != 2 {
		t.Errorf("two checks: %d, %v\n%s", found, err, out.String())
	}
	if _, err := findRoot(t.TempDir()); err == nil {
		t.Error("a folder outside of every module has a root")
	}
}
