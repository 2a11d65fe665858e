package agent

import (
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/policy/stream"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// One message, and what is under way without being acknowledged, hold at most so much. A message may pass its bytes by
// one change, and stays below the megabyte that a fabric carries.
const (
	messageItems = 512
	messageBytes = 256 << 10
	windowItems  = 4096
	windowBytes  = 4 << 20
)

// outbox is the changes of one session that the master has not acknowledged, with a window over them.
type outbox struct {
	items *stream.Outbox[*v1.Change]
	// sent and acked are the highest numbers that were.
	sent, acked uint64
	// bytes were sent since all that was sent was acknowledged.
	bytes int
	// oldest is the number that was the oldest under way when stalled was asked last; 0 if none was.
	oldest uint64
}

func newOutbox(limit int) outbox { return outbox{items: stream.NewOutbox[*v1.Change](limit)} }

func (o *outbox) push(c *v1.Change) bool { return o.items.Push(c) }

func (o *outbox) empty() bool { return o.items == nil || o.items.Len() == 0 }

func (o *outbox) ack(n uint64) bool {
	if !o.items.Ack(n) {
		return false
	}
	o.acked = n
	if o.sent = max(o.sent, n); o.acked == o.sent {
		o.bytes = 0
	}
	return true
}

// next is what one message carries: the number of the first change and the changes; none if all were sent or the window
// is full.
func (o *outbox) next() (first uint64, changes []*v1.Change) {
	size := 0
	for len(changes) < messageItems && size < messageBytes && o.sent-o.acked < windowItems && o.bytes < windowBytes {
		n, one := o.items.Next(1)
		if len(one) == 0 {
			break
		}
		if first == 0 {
			first = n
		}
		changes = append(changes, one...)
		o.sent = n
		grown := proto.Size(one[0])
		size += grown
		o.bytes += grown
	}
	return first, changes
}

// stalled reports whether the oldest change under way was that already when it was asked last; then next begins again
// with it.
func (o *outbox) stalled() bool {
	if o.sent == o.acked {
		o.oldest = 0
		return false
	}
	was := o.oldest
	o.oldest = o.acked + 1
	if was != o.oldest {
		return false
	}
	o.items.Rewind()
	o.sent, o.bytes = o.acked, 0
	return true
}
