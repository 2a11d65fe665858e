package bench

import (
	"context"
	"os"
	"testing"

	"github.com/troupe-sched/troupe/node/driver/process"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(process.ShimMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestX7_ProcessesRunThroughTheCell(t *testing.T) {
	r, err := RunProcess(context.Background(), ProcessOptions{Instances: 50, Slots: 4, Rounds: 1, Command: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
}

func BenchmarkProcess(b *testing.B) {
	for b.Loop() {
		r, err := RunProcess(context.Background(), ProcessOptions{Instances: 2000, Slots: 8, Rounds: 3, Command: []string{"/bin/true"}})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(r.AttemptsPerS, "attempts/s")
		b.ReportMetric(r.Ratio, "ratio")
		b.Logf("%+v", r)
	}
}
