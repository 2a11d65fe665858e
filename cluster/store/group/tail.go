package group

import (
	"context"

	"github.com/troupe-sched/troupe/actors/journal"
)

// Tail is Tail of journal.Log for stores in which this process sees every append: it reads to the end again whenever the
// log has grown. grown returns a channel that is closed by the next append, closed one that is closed with the log.
func Tail(ctx context.Context, log journal.Log, from uint64, fn func(seq uint64, data []byte) error, closed <-chan struct{}, grown func() <-chan struct{}) error {
	for {
		more := grown() // before the read, so that no append falls between
		err := log.Read(ctx, from, func(seq uint64, data []byte) error {
			from = seq + 1
			return fn(seq, data)
		})
		if err != nil {
			return err
		}
		select {
		case <-more:
		case <-closed:
			return journal.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
