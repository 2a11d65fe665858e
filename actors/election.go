package actors

import (
	"context"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Election tells a master when to try to lead, and the other masters what becomes of it. It is for liveness alone: what
// it says may be late, lost or wrong, and the journal still takes one leader's records only. cluster/masters is one.
type Election interface {
	// Due returns when this master shall try to lead, or ctx's error. Meanwhile it calls heard with the last record that
	// the leader has, whenever the leader says so.
	Due(ctx context.Context, heard func(seq uint64)) error
	// Seen tells the last record that this master has applied or, leading, made durable, and the epoch that wrote it.
	Seen(epoch, seq uint64)
	// Lost tells that trying has failed.
	Lost()
	// Won tells that this master leads. The channel is closed when the leader of a greater epoch has been heard.
	Won(epoch uint64) (outdone <-chan struct{})
	// Deposed tells that the reign has ended otherwise than by handing over.
	Deposed()
	// Resigned tells that the reign is over, that what it wrote is settled and that it answers nobody any more; the
	// successor, "" if there is none, may begin at once.
	Resigned(successor string)
	// Yielded reports whether the leader of that epoch has told that it resigned.
	Yielded(epoch uint64) bool
	// Successor is the follower that would be ready soonest, or the one that is wanted; a fault if there is none.
	Successor(want string) (string, error)
	// Mute takes ear and voice from this master for so long, for a drill; 0 gives them back.
	Mute(d time.Duration)
	// Leader is who leads, as far as is known; "" if nobody does. List tells of all masters heard lately, this one too.
	Leader() string
	List() []*v1.MasterInfo
}

// Hook opens something for the cell that lasts as long as this master leads; what it returns closes it.
type Hook func(ctx context.Context, c *Cell) (close func(context.Context) error, err error)
