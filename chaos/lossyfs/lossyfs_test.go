package lossyfs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// mounted gives a disk and where it is mounted.
func mounted(t *testing.T, opts Options) (*Disk, string) {
	t.Helper()
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	d, dir := New(opts), t.TempDir()
	if err := d.Mount(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Cut(nil); err != nil {
			t.Error(err)
		}
	})
	return d, dir
}

// cut cuts the power and mounts again.
func cut(t *testing.T, d *Disk, dir string, torn *rand.Rand) {
	t.Helper()
	if err := errors.Join(d.Cut(torn), d.Mount(dir)); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// write makes or changes a file.
func write(t *testing.T, path, text string, synced bool) *os.File {
	t.Helper()
	f := must(os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600))(t)
	must(f.WriteAt([]byte(text), 0))(t)
	if synced {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func syncDir(t *testing.T, dir string) {
	t.Helper()
	f := must(os.Open(dir))(t)
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestX1_WhatWasNotSyncedIsGone(t *testing.T) {
	for name, test := range map[string]struct {
		names Names
		do    func(t *testing.T, dir string)
		want  map[string]string
	}{
		"data": {Journaled, func(t *testing.T, dir string) {
			write(t, dir+"/a", "old", true).Close()
			write(t, dir+"/a", "new and longer", false).Close()
			write(t, dir+"/b", "never synced", false).Close()
		}, map[string]string{"a": "old", "b": "none"}},
		"a sync brings all names before it": {Journaled, func(t *testing.T, dir string) {
			write(t, dir+"/b", "never synced", false).Close()
			write(t, dir+"/a", "synced", true).Close()
			write(t, dir+"/c", "after it", false).Close()
		}, map[string]string{"a": "synced", "b": "", "c": "none"}},
		"rename": {Journaled, func(t *testing.T, dir string) {
			write(t, dir+"/tmp", "new", true).Close()
			must(0, os.Rename(dir+"/tmp", dir+"/a"))(t)
		}, map[string]string{"a": "none", "tmp": "new"}},
		"rename, synced": {Journaled, func(t *testing.T, dir string) {
			write(t, dir+"/tmp", "new", true).Close()
			must(0, os.Rename(dir+"/tmp", dir+"/a"))(t)
			syncDir(t, dir)
		}, map[string]string{"a": "new", "tmp": "none"}},
		"rename over what is there, data not synced": {Journaled, func(t *testing.T, dir string) {
			write(t, dir+"/a", "old", true).Close()
			write(t, dir+"/tmp", "new", false).Close()
			must(0, os.Rename(dir+"/tmp", dir+"/a"))(t)
			syncDir(t, dir)
		}, map[string]string{"a": "", "tmp": "none"}},
		"harsh: the folder was not synced": {Harsh, func(t *testing.T, dir string) {
			write(t, dir+"/a", "synced", true).Close()
		}, map[string]string{"a": "none"}},
		"harsh: the folder was synced": {Harsh, func(t *testing.T, dir string) {
			write(t, dir+"/a", "synced", true).Close()
			syncDir(t, dir)
			must(0, os.Remove(dir+"/a"))(t)
		}, map[string]string{"a": "synced"}},
		"harsh: a rename of which only the start was synced": {Harsh, func(t *testing.T, dir string) {
			must(0, os.Mkdir(dir+"/d", 0o700))(t)
			write(t, dir+"/a", "synced", true).Close()
			syncDir(t, dir)
			must(0, os.Rename(dir+"/a", dir+"/d/a"))(t)
			syncDir(t, dir)
		}, map[string]string{"a": "none", "d/a": "none"}},
		"eager": {Eager, func(t *testing.T, dir string) {
			write(t, dir+"/a", "never synced", false).Close()
		}, map[string]string{"a": ""}},
		"truncated": {Journaled, func(t *testing.T, dir string) {
			f := write(t, dir+"/a", strings.Repeat("x", 3*pageSize), true)
			defer f.Close()
			must(0, f.Truncate(5))(t)
			must(0, f.Sync())(t)
			must(0, f.Truncate(1))(t)
		}, map[string]string{"a": "xxxxx"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := mounted(t, Options{Names: test.names})
			test.do(t, dir)
			cut(t, d, dir, nil)
			for name, want := range test.want {
				if got := contentOf(t, filepath.Join(dir, name)); got != want {
					t.Errorf("%s has %q, want %q", name, got, want)
				}
			}
		})
	}
}

// An orderly unmount keeps everything.
func TestAnOrderlyEndKeepsEverything(t *testing.T) {
	d, dir := mounted(t, Options{Names: Harsh})
	write(t, dir+"/a", "never synced", false).Close()
	if err := errors.Join(d.Unmount(), d.Cut(nil), d.Mount(dir)); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, dir+"/a"); got != "never synced" {
		t.Error(got)
	}
}

// What is open when the power goes is dead, and stays so over the next mount.
func TestX1_HandlesDieWithThePower(t *testing.T) {
	d, dir := mounted(t, Options{})
	f := write(t, dir+"/a", "synced", true)
	defer f.Close()
	cut(t, d, dir, nil)
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("write: %v", err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	if got := contentOf(t, dir+"/a"); got != "synced" {
		t.Errorf("the dead handle has written %q", got)
	}
}

func TestX1_FaultsOfADisk(t *testing.T) {
	d, dir := mounted(t, Options{})
	f := write(t, dir+"/a", "good", true)
	defer f.Close()
	g := write(t, dir+"/other", "good", true)
	defer g.Close()
	d.SetFaults(Faults{Write: syscall.EIO, Sync: syscall.EIO, Only: "a"})
	if _, err := f.WriteAt([]byte("bad"), 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("write: %v", err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	if _, err := g.WriteAt([]byte("fine"), 0); err != nil {
		t.Errorf("write of another file: %v", err)
	}
	d.SetFaults(Faults{LoseSyncs: true})
	must(f.WriteAt([]byte("lost"), 0))(t)
	must(0, f.Sync())(t)
	d.SetFaults(Faults{SyncDelay: 20 * time.Millisecond})
	began := time.Now()
	must(0, g.Sync())(t)
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("a sync of 20ms took %v", took)
	}
	d.SetFaults(Faults{})
	cut(t, d, dir, nil)
	if got := contentOf(t, dir+"/a"); got != "good" {
		t.Errorf("a lost sync has kept %q", got)
	}
	if err := d.Flip("a", 0, 0); err != nil {
		t.Fatal(err)
	}
	cut(t, d, dir, nil)
	if got := contentOf(t, dir+"/a"); got != "food" {
		t.Errorf("with one bit turned: %q", got)
	}
	for _, wrong := range []error{d.Flip("none", 0, 0), d.Flip("a", 4, 0), d.Flip("a", 0, 8), d.Mount(dir)} {
		if wrong == nil {
			t.Error("a mistake was not refused")
		}
	}
}

// A full disk says so, and has room again when something goes.
func TestF30_FullDisk(t *testing.T) {
	d, dir := mounted(t, Options{Bytes: 10 * pageSize})
	write(t, dir+"/a", strings.Repeat("x", 8*pageSize), true).Close()
	f := write(t, dir+"/b", "x", false)
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, 4*pageSize), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("write: %v", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) != pageSize {
		t.Errorf("%d bytes are free, %v", fs.Bavail*uint64(fs.Bsize), err)
	}
	must(0, os.Remove(dir+"/a"))(t)
	must(f.WriteAt(make([]byte, 4*pageSize), 0))(t)
	if used := d.Stats().Used; used != 4*pageSize {
		t.Errorf("%d bytes are used", used)
	}
}

// Pages that were written and not synced may be there after a cut, in part; those before the sync always are.
func TestX1_TornWrites(t *testing.T) {
	d, dir := mounted(t, Options{})
	parts := map[int]bool{}
	random := rand.New(rand.NewPCG(1, 1))
	for range 40 {
		f := write(t, dir+"/a", strings.Repeat("o", 2*pageSize), true)
		must(0, f.Truncate(2*pageSize))(t)
		must(0, f.Sync())(t)
		must(f.WriteAt(bytes.Repeat([]byte("n"), pageSize), pageSize))(t)
		f.Close()
		cut(t, d, dir, random)
		got := contentOf(t, dir+"/a")
		n := strings.Count(got, "n")
		if got != strings.Repeat("o", pageSize)+strings.Repeat("n", n)+strings.Repeat("o", pageSize-n) || n%sector != 0 {
			t.Fatalf("%d bytes of the write are there", n)
		}
		parts[n] = true
	}
	if !parts[0] || !parts[pageSize] || len(parts) < 4 {
		t.Errorf("only so many bytes of writes were there: %v", slices.Sorted(maps.Keys(parts)))
	}
}

// kept is what a slow and plain disk holds: whole strings, once as it is seen and once as it is on disk.
type kept struct{ live, disk map[string]string }

// A file system on this disk does what a plain one does, and after a cut what was synced is there and nothing else.
func TestX1_AsAPlainDisk(t *testing.T) {
	if err := Supported(); err != nil {
		t.Skip(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		d, dir := New(Options{Names: Eager}), t.TempDir()
		if err := d.Mount(dir); err != nil {
			rt.Fatal(err)
		}
		defer d.Cut(nil)
		k := kept{map[string]string{}, map[string]string{}}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name")
			play(rt, d, dir, &k, name)
			for name, want := range k.live {
				if got, err := os.ReadFile(dir + "/" + name); err != nil || string(got) != want {
					rt.Fatalf("%s has %d bytes, want %d: %v", name, len(got), len(want), err)
				}
			}
			if names := d.Files(); len(names) != len(k.live) {
				rt.Fatalf("there are %v, want %d", names, len(k.live))
			}
		}
	})
}

func play(t *rapid.T, d *Disk, dir string, k *kept, name string) {
	path := dir + "/" + name
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	text, there := k.live[name]
	switch what := rapid.IntRange(0, 6).Draw(t, "what"); {
	case what <= 2: // write
		at := rapid.IntRange(0, 3*pageSize).Draw(t, "at")
		data := strings.Repeat(fmt.Sprint(what), rapid.IntRange(1, 2*pageSize).Draw(t, "n"))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		check(err)
		_, err = f.WriteAt([]byte(data), int64(at))
		check(errors.Join(err, f.Close()))
		whole := make([]byte, max(len(text), at+len(data)))
		copy(whole, text)
		copy(whole[at:], data)
		if k.live[name] = string(whole); !there {
			k.disk[name] = ""
		}
	case !there:
	case what == 3: // sync
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		check(err)
		check(errors.Join(f.Sync(), f.Close()))
		k.disk[name] = text
	case what == 4: // another length
		n := rapid.IntRange(0, 4*pageSize).Draw(t, "length")
		check(os.Truncate(path, int64(n)))
		whole := make([]byte, n)
		copy(whole, text)
		k.live[name] = string(whole)
	case what == 5: // another name
		check(os.Rename(path, dir+"/c"))
		k.live["c"], k.disk["c"] = text, k.disk[name]
		if name != "c" {
			delete(k.live, name)
			delete(k.disk, name)
		}
	default:
		check(errors.Join(d.Cut(nil), d.Mount(dir)))
		k.live = maps.Clone(k.disk)
	}
}
