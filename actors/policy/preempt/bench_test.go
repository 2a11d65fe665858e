package preempt

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
)

// fullCell is so many nodes of 64 cores, full of batch and free work of mixed sizes and ranks.
func fullCell(nodes int) *Index {
	rng := rand.New(rand.NewPCG(1, 1))
	x := NewIndex(6)
	var stages []StageIndex
	for i := range 200 {
		cores := int64(1+rng.IntN(8)) * 500
		stages = append(stages, x.AddStage(Stage{
			Priority: model.Priority{Band: model.Batch + model.Band(i%4/3), Rank: int32(i % 3)}, Queue: int32(i % 50),
			Each: []int64{cores, cores << 21, 0, 0, 0, 0}, Evictable: NoLimit,
		}))
	}
	serial := uint64(0)
	for n := range NodeIndex(nodes) {
		x.SetNode(n, []int64{64_000, 256 << 30, 1 << 40, 10e9, 0, 0}, true)
		for misses := 0; misses < 10; {
			s := stages[rng.IntN(len(stages))]
			if !covers(x.Free(n), x.stages[s].Each) {
				misses++
				continue
			}
			serial++
			x.Put(n, s, 1, serial)
		}
	}
	return x
}

func apply(x *Index, c *Claim, choice Choice) (victims int) {
	for _, v := range choice.Victims {
		x.Put(choice.Node, v.Stage, -v.Count, 0)
		victims += v.Count
	}
	x.Promise(choice.Node, c.Need, 1)
	return victims
}

// BenchmarkWave is slots of production work, one decision each, until 39,000 slots are evicted from full nodes.
func BenchmarkWave(b *testing.B) {
	const wave = 39_000
	for _, nodes := range []int{1000, 10_000, 50_000} {
		for _, cores := range []int64{1, 16} {
			b.Run(fmt.Sprintf("nodes=%d/cores=%d", nodes, cores), func(b *testing.B) {
				var choices []Choice
				var evicted, slots int
				for range b.N {
					b.StopTimer()
					x := fullCell(nodes)
					claim := &Claim{Priority: model.Priority{Band: model.Production}, Need: []int64{cores * 1000, cores << 30, 0, 0, 0, 0}, Slots: 1}
					evicted, slots = 0, 0
					b.StartTimer()
					for evicted < wave {
						choices = x.Find(claim, choices[:0])
						if len(choices) == 0 {
							break
						}
						slots++
						evicted += apply(x, claim, choices[0])
					}
				}
				seconds := b.Elapsed().Seconds() / float64(b.N)
				b.ReportMetric(float64(evicted), "evictions")
				b.ReportMetric(seconds, "s/wave")
				b.ReportMetric(seconds*1e6/float64(slots), "µs/slot")
			})
		}
	}
}

// BenchmarkRefuse is a claim that finds room nowhere.
func BenchmarkRefuse(b *testing.B) {
	for _, nodes := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			x := fullCell(nodes)
			claim := &Claim{Priority: model.Priority{Band: model.Batch, Rank: 2}, Need: []int64{64_000, 1, 0, 0, 0, 0}, Slots: 1}
			for b.Loop() {
				if len(x.Find(claim, nil)) != 0 {
					b.Fatal("found room")
				}
			}
		})
	}
}

// BenchmarkPut is what a grant and its end cost the index, with all cuts in use.
func BenchmarkPut(b *testing.B) {
	x := fullCell(1000)
	claim := &Claim{Need: []int64{64_000, 1, 0, 0, 0, 0}, Slots: 1}
	for rank := range int32(CutsMax - 1) {
		claim.Priority = model.Priority{Band: model.Free, Rank: rank}
		x.Find(claim, nil)
	}
	for i := 0; b.Loop(); i++ {
		n, s := NodeIndex(i%1000), StageIndex(i%200)
		x.Put(n, s, 1, uint64(1e6+i))
		x.Put(n, s, -1, 0)
	}
}
