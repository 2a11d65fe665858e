package wire

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/actors/model"
)

// Headers of an answer that may be stale: who gave it, of which records it is (HeaderSeq, HeaderEpoch), how many more the
// leader is known to have, and how many milliseconds old it is at most; the last is absent if that is not known.
const (
	HeaderMaster = "Troupe-Master"
	HeaderEpoch  = "Troupe-Epoch"
	HeaderLag    = "Troupe-Lag-Records"
	HeaderAge    = "Troupe-Age-Ms"
)

// SetMark writes as of when an answer is.
func SetMark(h nats.Header, m model.Mark) {
	h.Set(HeaderMaster, m.Master)
	h.Set(HeaderEpoch, strconv.FormatUint(m.Epoch, 10))
	h.Set(HeaderSeq, strconv.FormatUint(m.Seq, 10))
	h.Set(HeaderLag, strconv.FormatUint(m.Lag, 10))
	if m.Age >= 0 {
		h.Set(HeaderAge, strconv.FormatInt(m.Age.Milliseconds(), 10))
	}
}

// MarkIn reads what SetMark has written; false if that is not there.
func MarkIn(h nats.Header) (m model.Mark, ok bool) {
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(Header(h, name), 10, 63)
		ok = ok && err == nil
		return n
	}
	ok = true
	m = model.Mark{Epoch: number(HeaderEpoch), Seq: number(HeaderSeq), Lag: number(HeaderLag), Age: -1, Master: Header(h, HeaderMaster)}
	if Header(h, HeaderAge) != "" {
		m.Age = min(time.Duration(number(HeaderAge)), ageMax) * time.Millisecond
	}
	return m, ok
}

// ageMax is more milliseconds than anything here is old, and few enough to be counted in nanoseconds.
const ageMax = 1 << 40
