package scenario

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBuiltInScenariosAreRight(t *testing.T) {
	names := Names()
	if len(names) == 0 || !slices.Contains(names, "smoke") {
		t.Fatalf("built in are %v", names)
	}
	used := map[string]bool{}
	for _, name := range names {
		s, err := Open(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.About == "" || s.Name != name {
			t.Errorf("%s: it is called %q and about %q", name, s.Name, s.About)
		}
		for _, f := range slices.Concat(s.Faults, s.Random.Of) {
			used[f.Fault] = true
		}
	}
	for name := range Kinds() {
		if !used[name] {
			t.Errorf("no scenario that is built in shows the fault %s", name)
		}
	}
}

func TestFormsAreTheSame(t *testing.T) {
	forms := map[string]string{
		"a.yaml": "about: x\ncell: {masters: 3, nats: 3}\nfaults:\n- {at: 5s, fault: kill, who: leader, for: 1s}\nduration: 1m\n",
		"a.toml": "about = 'x'\nduration = '1m'\n[cell]\nmasters = 3\nnats = 3\n[[faults]]\nat = '5s'\nfault = 'kill'\nwho = 'leader'\nfor = '1s'\n",
		"a.json": `{"about":"x","cell":{"masters":3,"nats":3},"faults":[{"at":"5s","fault":"kill","who":"leader","for":"1s"}],"duration":"1m"}`,
	}
	var first Scenario
	for file, text := range forms {
		s, err := Parse(file, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if s.Cell.Nodes == 0 || s.Quiet == 0 || s.Name != "a" {
			t.Errorf("%s: defaults are not filled in: %+v", file, s)
		}
		if first.Name != "" && !reflect.DeepEqual(s, first) {
			t.Errorf("%s differs: %+v, %+v", file, s, first)
		}
		first = s
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	const rest = "\nduration: 10s\n"
	for want, text := range map[string]string{
		"fautls":                 "fautls: []" + rest,
		"cell.masters":           "cell: {masters: 2}" + rest,
		"cell.nats":              "cell: {nats: 2}" + rest,
		"cell.nodes":             "cell: {nodes: 65}" + rest,
		"cell.cpu":               "cell: {cpu: -1}" + rest,
		"cell.network":           "cell: {network: wifi}" + rest,
		"cell.disks":             "cell: {disks: [shim]}" + rest,
		"cell.flags":             "cell: {flags: {nats: [-x]}}" + rest,
		"duration: it is 0s":     "about: x",
		"load":                   "load: {clients: 1001}" + rest,
		"faults[0].at":           "faults: [{at: 10s, fault: kill, who: leader}]" + rest,
		"faults[0].fault":        "faults: [{at: 1s, fault: explode, who: leader}]" + rest,
		"faults[0].who: it is m": "faults: [{at: 1s, fault: kill}]" + rest,
		"names nobody":           "faults: [{at: 1s, fault: kill, who: the boss}]" + rest,
		"strikes the cell":       "faults: [{at: 1s, fault: step-down, who: leader, for: 1s, times: 2}]" + rest,
		"cannot strike a shim":   "faults: [{at: 1s, fault: stop, who: any shim, for: 1s}]" + rest,
		"no NATS server beside":  "faults: [{at: 1s, fault: kill, who: nats-leader}]" + rest,
		"no followers with one":  "faults: [{at: 1s, fault: kill, who: followers}]" + rest,
		"disk is out of reach":   "faults: [{at: 1s, fault: power-cut, who: any node}]" + rest,
		"set cell.network to n":  "faults: [{at: 1s, fault: partition, who: leader, for: 1s}]" + rest,
		"set cell.network to p":  "cell: {network: netns, nats: 1}\nfaults: [{at: 1s, fault: reset, who: any node}]" + rest,
		"faults[0].for":          "faults: [{at: 1s, fault: stop, who: leader}]" + rest,
		"faults[0].by":           "faults: [{at: 1s, fault: clock, who: leader, for: 1s}]" + rest,
		"faults[0].times":        "faults: [{at: 1s, fault: reconnect, for: 1s}]" + rest,
		"faults[0].how: kill":    "faults: [{at: 1s, fault: kill, who: leader, how: hard}]" + rest,
		"faults[0].how: \"up\"":  "faults: [{at: 1s, fault: partition, who: any node, for: 1s, how: up}]" + rest,
		"random.every: it is mi": "random: {of: [{fault: kill, who: leader}]}" + rest,
		"random.of: it is empty": "random: {every: 1s}" + rest,
		"makes more than":        "random: {every: 1us, of: [{fault: kill, who: leader}]}" + rest,
		"random.of[0].fault":     "random: {every: 1s, of: [{fault: x}]}" + rest,
		"not a duration":         "duration: soon",
	} {
		if _, err := Parse("a.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for file, want := range map[string]string{"a.txt": "tells no form", "a.toml": "not known", "a.json": "field"} {
		if _, err := Parse(file, []byte(map[string]string{"a.txt": "", "a.toml": "x = 1", "a.json": `{"x":1}`}[file])); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	if _, err := Parse("a.yaml", make([]byte, sizeMax+1)); err == nil {
		t.Error("a file of any size is read")
	}
}

func TestOpenFindsFilesAndNamesWhatIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, []byte("about: x\nduration: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(file); err != nil || s.Name != "mine" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := Open("smokey"); err == nil || !strings.Contains(err.Error(), "smoke") {
		t.Errorf("a name that is not there: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a file that is not there is opened")
	}
}

func TestX1_ASeedIsOnePlan(t *testing.T) {
	s, err := Parse("a.yaml", []byte("faults: [{at: 59s, fault: kill, who: leader}]\nduration: 10m\nrandom: {every: 5s, of: [{fault: kill, who: leader}, {fault: kill, who: any node}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	plan := s.Plan(7)
	if !reflect.DeepEqual(plan, s.Plan(7)) || reflect.DeepEqual(plan, s.Plan(8)) {
		t.Error("a plan is not that of its seed")
	}
	if n := len(plan); n < 80 || n > 170 {
		t.Errorf("%d faults in 10 minutes, one every 5 s", n)
	}
	if !slices.IsSortedFunc(plan, func(a, b Fault) int { return int(a.At - b.At) }) {
		t.Error("the plan is not in order")
	}
	if i := slices.IndexFunc(plan, func(f Fault) bool { return f.At.Std() == 59*time.Second }); i < 0 {
		t.Error("the fault at a time of its own is not in it")
	}
	for i, f := range plan[1:] {
		if gap := f.At - plan[i].At; plan[i].At.Std() != 59*time.Second && f.At.Std() != 59*time.Second && gap.Std() < time.Second {
			t.Errorf("two faults within %v", gap)
		}
	}
}

func TestWhoIsUnderstood(t *testing.T) {
	for who, want := range map[Who][]Pick{
		"leader":           {{Role: "master", Leader: true}},
		"nats-leader":      {{Role: "nats", Leader: true}},
		"follower":         {{Role: "master", Follower: true, Count: 1}},
		"followers":        {{Role: "master", Follower: true}},
		"any shim":         {{Role: "shim", Count: 1}},
		"2 nodes, leader":  {{Role: "node", Count: 2}, {Role: "master", Leader: true}},
		"all nats":         {{Role: "nats"}},
		"node-12,master-1": {{ID: "node-12", Role: "node"}, {ID: "master-1", Role: "master"}},
	} {
		if got, err := who.Picks(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", who, got, err, want)
		}
	}
	for _, who := range []Who{"", "any", "0 nodes", "-1 nodes", "node-0", "any any node", "cat-1", "leader,"} {
		if got, err := who.Picks(); err == nil {
			t.Errorf("%q is understood as %+v", who, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a.yaml", []byte("faults: [{at: 1s, fault: kill, who: leader}]\nduration: 2s\n"))
	f.Add("a.toml", []byte("duration = '1s'"))
	f.Fuzz(func(t *testing.T, file string, data []byte) {
		if s, err := Parse(file, data); err == nil {
			s.Plan(1)
		}
	})
}
