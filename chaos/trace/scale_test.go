package trace

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// One master with ten thousand nodes takes more than ten thousand jobs in a minute, starts each at once, has all of them
// running at one time, and sees all to their end. -short plays a tenth.
func TestB38_F44_TenThousandNodesAndJobsAtOnce(t *testing.T) {
	n := 10_000
	if testing.Short() {
		n /= 10
	}
	w := &Workload{}
	for i := range n {
		w.Nodes = append(w.Nodes, &v1.NodeInfo{
			Id: fmt.Sprintf("node-%05d", i), CpuMilli: 2000, MemoryBytes: 8 << 30, Drivers: []string{"process"},
			Attributes: map[string]string{"rack": fmt.Sprint(i / 40)},
		})
		job := batch(fmt.Sprintf("job-%05d", i), 1, "1h")
		job.Stages[0].Resources = &v1.Resources{Cpu: "1500m", Memory: "1Gi"} // a node each
		w.Jobs = append(w.Jobs, Job{At: time.Duration(i) * 55 * time.Second / time.Duration(n), Run: time.Hour, Spec: job})
	}
	r := play(t, w, Options{Seed: 1})
	if a := r.All; a.Jobs != n || a.Begun != uint64(n) || a.Ended != uint64(n) || a.Evicted != 0 || a.Wait.Max > 1 {
		t.Errorf("%+v", a)
	}
	// Each takes three quarters of a node: all of them ran at one time, one on each.
	if cpu := r.Resources[0]; cpu.Peak != 0.75 {
		t.Errorf("%v of the CPU was held at one time, not 0.75", cpu.Peak)
	}
}

// A release of one in a hundred of a million instances is ten thousand in one rollout: one job, all begun at once. -short
// plays a tenth.
func TestS3_OneRolloutOfTenThousandInstances(t *testing.T) {
	n := 1000
	if testing.Short() {
		n /= 10
	}
	w := &Workload{Jobs: []Job{{Run: Forever, Spec: service("release", int64(10*n))}}}
	for i := range n {
		w.Nodes = append(w.Nodes, &v1.NodeInfo{
			Id: fmt.Sprintf("node-%05d", i), CpuMilli: 16_000, MemoryBytes: 64 << 30, Drivers: []string{"process"},
			Attributes: map[string]string{"rack": fmt.Sprint(i / 40)},
		})
	}
	w.Jobs[0].Spec.Stages[0].Spread = "rack"
	r := play(t, w, Options{Seed: 1})
	if a := r.All; a.Begun != uint64(10*n) || a.Waiting != 0 || a.Wait.Max != 0 {
		t.Errorf("%+v", a)
	}
}
