package lossyfs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const childEnv = "TROUPE_LOSSYFS_CHILD"

// TestMain lets the test binary be a process that maps a file.
func TestMain(m *testing.M) {
	if file := os.Getenv(childEnv); file != "" {
		if err := mapFile(file); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// mapFile writes through a mapping, syncs, writes more, says so and waits.
func mapFile(name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Truncate(2 * pageSize); err != nil {
		return err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	fill := func(part []byte, c byte) { copy(part, bytes.Repeat([]byte{c}, len(part))) }
	fill(data, 's')
	if err := unix.Msync(data, unix.MS_SYNC); err != nil {
		return err
	}
	fill(data[pageSize:], 'u')
	leaked := 0
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, l := range links {
		if to, err := os.Readlink("/proc/self/fd/" + l.Name()); err == nil && to == "/dev/fuse" {
			leaked++
		}
	}
	fmt.Println("mapped", leaked)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until we are killed
	return nil
}

// What a process has written through a mapping is on disk when it has synced it. When it is killed nothing is lost, when
// the power is cut all that it has not synced.
func TestX1_S5_Mappings(t *testing.T) {
	for name, test := range map[string]struct {
		power bool
		want  string
	}{
		"killed":    {false, strings.Repeat("s", pageSize) + strings.Repeat("u", pageSize)},
		"power cut": {true, strings.Repeat("s", 2*pageSize)},
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := mounted(t, Options{})
			c := exec.Command(must(os.Executable())(t))
			c.Env = append(os.Environ(), childEnv+"="+dir+"/mapped")
			must(c.StdinPipe())(t)
			out := must(c.StdoutPipe())(t)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			line := must(bufio.NewReader(out).ReadString('\n'))(t)
			if line != "mapped 0\n" {
				t.Errorf("the process says %q, want that it has mapped the file and has no file of ours", line)
			}
			if test.power {
				if err := d.Cut(nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait() // it was killed
			if test.power {
				if err := d.Mount(dir); err != nil {
					t.Fatal(err)
				}
			}
			if got := contentOf(t, dir+"/mapped"); got != test.want {
				t.Errorf("the file has %d s and %d u of %d bytes", strings.Count(got, "s"), strings.Count(got, "u"), len(got))
			}
		})
	}
}
