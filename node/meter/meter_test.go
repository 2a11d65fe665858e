package meter

import (
	"runtime"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

func TestB1_HostIsANodeThatMayJoin(t *testing.T) {
	info := Host(t.TempDir())
	info.Id = "n1"
	if problems := model.CheckNodeInfo(info); len(problems) > 0 {
		t.Fatalf("%v: %v", problems, info)
	}
	if info.Attributes["os"] != runtime.GOOS || info.Attributes["arch"] != runtime.GOARCH || info.Attributes["cpus"] == "" ||
		info.Attributes["kernel"] == "" || info.DiskBytes == 0 {
		t.Fatal(info)
	}
	if gone := Host("/no/such/directory"); gone.DiskBytes != 0 {
		t.Fatal(gone)
	}
}

func TestBootIDStaysTheSame(t *testing.T) {
	one, err := BootID()
	two, again := BootID()
	if err != nil || again != nil || one == "" || one != two {
		t.Fatal(one, err, two, again)
	}
}

func TestF19_UsageOfTheMachine(t *testing.T) {
	m := New(t.TempDir())
	u := m.Usage()
	if u == nil || u.DiskBytes == 0 || runtime.GOOS == "linux" && u.MemoryBytes == 0 {
		t.Fatal(u)
	}
	m.sample(m.at.Add(time.Second))
	if u := m.Usage(); u.CpuMilli < 0 || u.CpuMilli > int64(runtime.NumCPU())*1000 {
		t.Fatal(u)
	}
}

func TestUsageIsTheGrowthOfCounters(t *testing.T) {
	for _, c := range []struct {
		was, is    counters
		milli, bps int64
	}{
		{counters{100, 200, 1000}, counters{150, 300, 2000}, 2000, 4000},
		{counters{100, 200, 1000}, counters{200, 300, 1000}, 4000, 0},
		{counters{100, 200, 1000}, counters{100, 200, 500}, 0, 0},
		{counters{100, 200, 0}, counters{50, 300, 0}, 0, 0},
	} {
		if milli, bps := growth(c.was, c.is, 2*time.Second, 4000); milli != c.milli || bps != c.bps {
			t.Errorf("from %v to %v: %d, %d", c.was, c.is, milli, bps)
		}
	}
}

func TestParse(t *testing.T) {
	if busy, all := parseStat("cpu  100 20 30 400 50 6 7 8 9 10\ncpu0 1 1 1 1 1\n"); busy != 171 || all != 621 {
		t.Error("stat", busy, all)
	}
	for _, text := range []string{"", "cpu", "cpu 1 2 x 4 5 6", "intr 1 2 3 4 5 6"} {
		if busy, all := parseStat(text); busy != 0 || all != 0 {
			t.Errorf("stat %q: %d, %d", text, busy, all)
		}
	}
	if total, available := parseMeminfo("MemTotal:       2000 kB\nMemFree: 5 kB\nMemAvailable:   500 kB\n"); total != 2000<<10 || available != 500<<10 {
		t.Error("meminfo", total, available)
	}
	dev := "Inter-|   Receive\n face |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n  eth0: 100 1 0 0 0 0 0 0 50 1 0\n wg0:7 0 0 0 0 0 0 0 3 0\n bad: 1 2\n"
	if n := parseNetDev(dev); n != 160 {
		t.Error("net", n)
	}
	for text, want := range map[string]int64{"1.25 0.50 0.10 1/100 7": 1250, "": 0, "NaN 1": 0, "-3 1": 0, "1e300 1": 0} {
		if n := parseLoad(text); n != want {
			t.Errorf("load %q: %d", text, n)
		}
	}
	for text, want := range map[string]int64{"max 100000": 0, "150000 100000": 1500, "-1 100000": 0, "1 100000": 1, "": 0, "5 0": 0, "9223372036854775807 1": 0} {
		if n := parseQuota(text); n != want {
			t.Errorf("quota %q: %d", text, n)
		}
	}
	groups := parseGroups("12:cpu,cpuacct:/a/b\n5:memory:/m\n0::/unified\nnonsense\n")
	if groups["cpu"] != "/a/b" || groups["cpuacct"] != "/a/b" || groups["memory"] != "/m" || groups[""] != "/unified" {
		t.Error("groups", groups)
	}
}
