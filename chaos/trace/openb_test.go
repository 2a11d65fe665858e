package trace

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/troupe-sched/troupe/actors/policy/frag"
	"github.com/troupe-sched/troupe/actors/tree"
	"github.com/troupe-sched/troupe/chaos/trace/openb"
	"github.com/troupe-sched/troupe/chaos/trace/plain"
)

// packs plays a packing workload through the actors, and says by arrival on which node each pod began, "" for none, and the
// curve of the study.
func packs(t testing.TB, nodes []openb.Node, pods []openb.Pod, sequence openb.Sequence, score string, change ...func(*tree.Config)) ([]string, []float64) {
	t.Helper()
	o := Options{Policy: Policy{Score: score}}
	w, err := OpenB(nodes, pods, sequence, &o)
	if err != nil {
		t.Fatal(err)
	}
	told := o.Change
	o.Change = func(c *tree.Config) {
		told(c)
		for _, f := range change {
			f(c)
		}
	}
	p, err := begin(w, o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.world.close()
	on := make(map[string]string, len(w.Jobs))
	p.world.fleet.began = func(a *agent, s *slot) {
		on[s.template.GetJob()] = a.info.GetId()
		p.rec.began(a, s)
	}
	if err := p.play(context.Background()); err != nil {
		t.Fatal(err)
	}
	list := make([]string, len(w.Jobs))
	for i := range list {
		list[i] = on[w.Jobs[i].Spec.Name]
	}
	return list, p.rec.byDemand()
}

// The actors put every pod on the very node on which the player by the book does.
func TestX3_B23_PodsGoWhereTheyGoByTheBook(t *testing.T) {
	for seed := range uint64(6) {
		nodes, pods := plain.MakeOpenB(seed, 25, 150)
		sequence := openb.Draw(pods, nodes, openbPercent, int64(seed))
		packing, err := plain.ByRule(frag.Packing, nodes, pods)
		if err != nil {
			t.Fatal(err)
		}
		for name, score := range map[string]plain.Score{
			"bestfit": plain.BestFit(nodes), "fragmentation": plain.FGD(pods), "packing": packing,
		} {
			want := plain.Pack(nodes, pods, sequence, score)
			got, curve := packs(t, nodes, pods, sequence, name)
			if len(got) != len(want.Nodes) {
				t.Fatalf("%s, seed %d: %d arrivals, by the book %d", name, seed, len(got), len(want.Nodes))
			}
			for i, node := range want.Nodes {
				by := ""
				if node >= 0 {
					by = nodes[node].Name
				}
				if got[i] != by {
					t.Errorf("%s, seed %d: arrival %d %s goes to %q, by the book to %q", name, seed, i, fmt.Sprintf("%+v", pods[sequence.Arrivals[i]]), got[i], by)
					break
				}
			}
			for d, v := range want.Curve(len(curve) - 1) {
				if !math.IsNaN(v) && math.Abs(v-curve[d]) > 1e-9 {
					t.Errorf("%s, seed %d: %v %% given of %d %% asked for, by the book %v %%", name, seed, curve[d], d, v)
					break
				}
			}
		}
	}
}

// The default score gives away at least as much of the devices as best fit, in the mean over workloads that it was not made
// for, whether it was told what will come or has to learn it on the way.
func TestB23_HybridGivesAtLeastWhatBestFitGives(t *testing.T) {
	const seeds = 6
	learns := func(c *tree.Config) { c.Place.Workload = nil }
	told, learned, bestfit := 0.0, 0.0, 0.0
	for seed := range uint64(seeds) {
		nodes, pods := plain.MakeOpenB(200+seed, 20, 200)
		sequence := openb.Draw(pods, nodes, openbPercent, int64(seed))
		given := func(score string, change ...func(*tree.Config)) float64 {
			_, curve := packs(t, nodes, pods, sequence, score, change...)
			return curve[len(curve)-1] / seeds
		}
		told, learned, bestfit = told+given(""), learned+given("", learns), bestfit+given("bestfit")
	}
	t.Logf("%.2f %% of the devices when told, %.2f %% when it learns, %.2f %% by best fit", told, learned, bestfit)
	if told < bestfit || learned < bestfit {
		t.Error("best fit gives more")
	}
}
