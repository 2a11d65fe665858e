package journaltest

import (
	"bytes"
	"context"
	"testing"

	"github.com/troupe-sched/troupe/actors/journal"
)

// BenchAppend measures appends of one KiB to an empty log with at most window of them in flight.
func BenchAppend(b *testing.B, log journal.Log, window int) {
	b.Helper()
	const size = 1024
	record := bytes.Repeat([]byte("x"), size)
	free := make(chan struct{}, window)
	for range window {
		free <- struct{}{}
	}
	b.SetBytes(size)
	seq := uint64(0)
	for b.Loop() {
		<-free
		if seq++; seq%10_000 == 0 { // what a snapshot would allow
			if err := log.Trim(context.Background(), seq-5_000); err != nil {
				b.Fatal(err)
			}
		}
		log.Append(seq, record, func(err error) {
			if err != nil {
				b.Error(err)
			}
			free <- struct{}{}
		})
	}
	for range window {
		<-free
	}
	b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "appends/s")
}
