package bench

import (
	"context"
	"testing"
)

func TestF10_ThroughputRunsEveryInstanceOnce(t *testing.T) {
	r, err := RunThroughput(context.Background(), ThroughputOptions{Instances: 20_000, Nodes: 20, SlotsPerNode: 32})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
}

func BenchmarkThroughput(b *testing.B) {
	for b.Loop() {
		r, err := RunThroughput(context.Background(), ThroughputOptions{Instances: 1_000_000, Nodes: 1000, SlotsPerNode: 64})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(r.InstancesPerS, "instances/s")
		b.ReportMetric(float64(r.PeakRSSBytes)/(1<<20), "peak-MiB")
		b.Logf("%+v", r)
	}
}
