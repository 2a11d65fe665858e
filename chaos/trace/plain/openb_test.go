package plain

import (
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/actors/policy/frag"
	"github.com/troupe-sched/troupe/chaos/trace/openb"
)

func TestS27_RulesOfProductionPlaceAsTheStudys(t *testing.T) {
	for seed := range uint64(30) {
		nodes, pods := MakeOpenB(seed, 12, 200)
		sequence := openb.Draw(pods, nodes, 130, int64(seed))
		for rule, score := range map[frag.Rule]Score{
			frag.BestFit: BestFit(nodes), frag.Fragmentation: FGD(pods),
		} {
			fast, err := ByRule(rule, nodes, pods)
			if err != nil {
				t.Fatal(err)
			}
			want, got := Pack(nodes, pods, sequence, score), Pack(nodes, pods, sequence, fast)
			if !slices.Equal(want.Nodes, got.Nodes) {
				t.Errorf("seed %d: %s places otherwise: %d milli-devices, want %d", seed, rule,
					got.Allocated[len(got.Allocated)-1], want.Allocated[len(want.Allocated)-1])
			}
		}
	}
}

func TestS27_NothingIsGivenTwiceAndOnlyWhatFindsNoRoomIsRefused(t *testing.T) {
	for seed := range uint64(10) {
		nodes, pods := MakeOpenB(seed, 10, 150)
		sequence := openb.Draw(pods, nodes, 130, int64(seed))
		for rule := frag.BestFit; rule <= frag.Packing; rule++ {
			score, err := ByRule(rule, nodes, pods)
			if err != nil {
				t.Fatal(err)
			}
			held := make([]int64, len(nodes))
			for i, node := range Pack(nodes, pods, sequence, score).Nodes {
				if node >= 0 {
					held[node] += pods[sequence.Arrivals[i]].Total()
				}
			}
			for i, n := range nodes {
				if held[i] > int64(n.Devices)*openb.Whole {
					t.Errorf("seed %d: %s gives %d of %d on %s", seed, rule, held[i], n.Devices*openb.Whole, n.Name)
				}
			}
		}
	}
}

func TestB23_PackingGivesMoreThanFGDOnMadeWorkloads(t *testing.T) {
	more, fewer, sum := 0, 0, int64(0)
	for seed := range uint64(20) {
		nodes, pods := MakeOpenB(100+seed, 25, 400)
		sequence := openb.Draw(pods, nodes, 130, int64(seed))
		packing, err := ByRule(frag.Packing, nodes, pods)
		if err != nil {
			t.Fatal(err)
		}
		a, b := Pack(nodes, pods, sequence, packing), Pack(nodes, pods, sequence, FGD(pods))
		gain := (last(a.Allocated) - last(b.Allocated)) * 10000 / a.Capacity
		sum += gain
		switch {
		case gain > 0:
			more++
		case gain < 0:
			fewer++
		}
	}
	t.Logf("more on %d, fewer on %d of 20, %d hundredths of a point in all", more, fewer, sum)
	if sum < 1000 || more <= fewer {
		t.Error("packing is to give half a point more in the mean, and more on most workloads where it differs")
	}
}

func last(values []int64) int64 { return values[len(values)-1] }

// tracesVar names a folder with the public lists and the published curves, which are not part of the project.
const tracesVar = "TROUPE_OPENB"

func TestS27_PublishedCurves(t *testing.T) {
	dir := os.Getenv(tracesVar)
	if dir == "" {
		t.Skipf("%s names no folder with the published lists", tracesVar)
	}
	nodes, err := openb.LoadNodes(filepath.Join(dir, "openb_node_list_gpu_node.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	openb.SortNodes(nodes)
	for _, row := range publishedCurves(t, dir) {
		rule := map[string]frag.Rule{
			"02-DotProd": frag.DotProduct, "04-GpuPacking": frag.DevicePacking, "05-BestFit": frag.BestFit,
			"06-FGD": frag.Fragmentation,
		}[row["sc_policy"]]
		if rule == 0 || row["seed"] != "42" {
			continue
		}
		pods, err := openb.LoadPods(filepath.Join(dir, row["workload"]+".csv.gz"))
		if err != nil {
			t.Fatal(err)
		}
		openb.SortPods(pods)
		score, err := ByRule(rule, nodes, pods)
		if err != nil {
			t.Fatal(err)
		}
		curve := Pack(nodes, pods, openb.Draw(pods, nodes, 130, 42), score).Curve(130)
		worst := 0.0
		for d, got := range curve {
			if want, err := strconv.ParseFloat(row[strconv.Itoa(d)], 64); err == nil {
				worst = max(worst, math.Abs(got-want))
			}
		}
		t.Logf("%s %s: %.2f at the end, at most %.3f points away", row["workload"], rule, curve[130], worst)
		if worst > 0.006 { // half of the last digit
			t.Errorf("%s %s: %.3f points away from the published curve", row["workload"], rule, worst)
		}
	}
}

func publishedCurves(t *testing.T, dir string) (rows []map[string]string) {
	file, err := openb.Open(filepath.Join(dir, "published_allocation.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(file).ReadAll()
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, name := range records[0] {
			row[strings.TrimSpace(name)] = record[i]
		}
		rows = append(rows, row)
	}
	return rows
}
