package cell

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/scenario"
)

// built is a cell whose parts are made and not started.
func built(t *testing.T, text string) *Cell {
	t.Helper()
	s, err := scenario.Parse("x.yaml", []byte(text+"\nduration: 1s\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := &Cell{Name: "x", Dir: t.TempDir(), opts: Options{Shape: s.Cell, Program: []string{"troupe"}, Old: []string{"older"}, Tell: func(proc.Event) {}}}
	if err := c.build(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range c.parts {
			for _, x := range p.proxies {
				x.Close()
			}
		}
	})
	return c
}

// flag is what follows a word in the arguments of a part.
func flag(t *testing.T, p *Part, word string) string {
	t.Helper()
	i := slices.Index(p.Proc.Program(), word)
	if i < 0 {
		t.Fatalf("%s is started without %s: %v", p.ID, word, p.Proc.Program())
	}
	return p.Proc.Program()[i+1]
}

func TestServersBesideTheMastersAreReachedThroughProxies(t *testing.T) {
	c := built(t, "cell: {masters: 3, nats: 3, nodes: 2, flags: {node: [--attribute=a=b]}}")
	if len(c.Parts()) != 8 || len(c.Role("master")) != 3 || c.Part("node-2") == nil || c.Part("node-3") != nil {
		t.Fatalf("there are %d parts", len(c.Parts()))
	}
	seen := map[string]bool{}
	for _, p := range slices.Concat(c.Role("master"), c.Role("node")) {
		for at := range strings.SplitSeq(flag(t, p, "--nats"), ",") {
			if seen[at] || slices.Contains(c.servers, strings.TrimPrefix(at, "nats://")) {
				t.Errorf("%s shares %s, or is past its proxy", p.ID, at)
			}
			seen[at] = true
		}
	}
	if len(seen) != 5*3 {
		t.Errorf("%d proxies", len(seen))
	}
	routes := map[string]bool{}
	for _, p := range c.Role("nats") {
		routes[flag(t, p, "--cluster-listen")] = true
	}
	if len(routes) != 3 || flag(t, c.Part("master-2"), "--id") != "master-2" || flag(t, c.Part("master-2"), "--replicas") != "3" {
		t.Errorf("routes are %v", routes)
	}
	if !slices.Contains(c.Part("node-1").Proc.Program(), "--attribute=a=b") {
		t.Error("a node's flags are not its own")
	}
}

func TestMastersCanHaveServersOfTheirOwn(t *testing.T) {
	c := built(t, "cell: {masters: 3}")
	peers := flag(t, c.Part("master-1"), "--peers")
	for i, p := range c.Role("master") {
		if flag(t, p, "--peers") != peers || !strings.Contains(peers, flag(t, p, "--cluster-listen")) || flag(t, p, "--nats-listen") != c.servers[i] {
			t.Errorf("%s: %v", p.ID, p.Proc.Program())
		}
	}
	one := built(t, "cell: {masters: 1}").Part("master-1")
	if slices.Contains(one.Proc.Program(), "--peers") || slices.Contains(one.Proc.Program(), "--nats") {
		t.Errorf("one alone: %v", one.Proc.Program())
	}
}

func TestF21_PartsSwapTheirProgramAndNotTheirArguments(t *testing.T) {
	c := built(t, "cell: {nodes: 1}")
	p := c.Part("node-1")
	before := p.Proc.Program()
	if err := c.Swap(p, true); err != nil || p.Proc.Program()[0] != "older" || !slices.Equal(p.Proc.Program()[1:], before[1:]) {
		t.Errorf("%v, %v", p.Proc.Program(), err)
	}
	if err := c.Swap(p, false); err != nil || !slices.Equal(p.Proc.Program(), before) {
		t.Errorf("%v, %v", p.Proc.Program(), err)
	}
	c.opts.Old = nil
	if err := c.Swap(p, true); err == nil {
		t.Error("there is no other version")
	}
}

func TestF15_DoublesHaveTheIdAndAFolderOfTheirOwn(t *testing.T) {
	c := built(t, "cell: {nodes: 1}")
	p := c.Part("node-1")
	first, dir := c.Double(p)
	second, other := c.Double(p)
	if dir == other || dir == p.Data || first.ID() == second.ID() {
		t.Errorf("in %s and %s", dir, other)
	}
	args := first.Program()
	if args[slices.Index(args, "--id")+1] != "node-1" || args[slices.Index(args, "--dir")+1] != dir || slices.Contains(args, p.Data) {
		t.Errorf("%v", args)
	}
}

func TestF9_ADiskForgetsIsFullAndComesBack(t *testing.T) {
	dir := t.TempDir()
	d, err := openDisk(dir)
	if errors.Is(err, ErrUnable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	put := func(name string, sync bool) error {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		_, err = f.WriteString(name)
		if sync {
			err = errors.Join(err, f.Sync())
		}
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(put("kept", true), put("lost", false)); err != nil {
		t.Fatal(err)
	}
	if err := d.Cut(); err != nil {
		t.Fatal(err)
	}
	kept, _ := os.ReadFile(filepath.Join(dir, "kept"))
	lost, _ := os.ReadFile(filepath.Join(dir, "lost"))
	if string(kept) != "kept" || len(lost) != 0 {
		t.Errorf("after a power cut there are %q and %q", kept, lost)
	}
	if err := d.Full(true); err != nil {
		t.Fatal(err)
	}
	if err := put("more", true); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk takes more: %v", err)
	}
	if err := d.Full(false); err != nil {
		t.Fatal(err)
	}
	if err := put("more", true); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := d.Slow(30 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := put("late", true); err != nil || time.Since(begun) < 30*time.Millisecond {
		t.Errorf("a slow disk takes %v, %v", time.Since(begun), err)
	}
	c := &Cell{Dir: t.TempDir()}
	plain, err := c.Plain(&Part{ID: "master-1", Role: "master", Data: dir, Disk: d})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(plain, "kept")); err != nil || string(data) != "kept" || plain == dir {
		t.Errorf("its copy in %s holds %q, %v", plain, data, err)
	}
}

func TestTailIsTheEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte("a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Tail(file, 2); got != "b\nc" {
		t.Errorf("the end is %q", got)
	}
	if got := Tail(file, 9); got != "a\nb\nc" {
		t.Errorf("the whole is %q", got)
	}
}
