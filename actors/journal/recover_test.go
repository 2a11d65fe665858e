package journal_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors/journal"
	"github.com/troupe-sched/troupe/cluster/store/memlog"
)

func TestS5_BeginAndRecover(t *testing.T) {
	ctx := context.Background()
	log := memlog.New(memlog.Options{})
	for want := uint64(1); want <= 3; want++ {
		log = log.Reopen()
		state, err := journal.Recover(ctx, log, nil)
		if err != nil {
			t.Fatal(err)
		}
		epoch, err := journal.Begin(ctx, log, state, "here", time.Unix(0, int64(want)))
		if err != nil || epoch != want || state.Seq() != want {
			t.Fatalf("epoch %d at record %d, %v; want %d", epoch, state.Seq(), err, want)
		}
	}
}
