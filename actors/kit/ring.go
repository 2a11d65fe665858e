package kit

const (
	// ringMin is what the first message of a queue allocates.
	ringMin = 4
	// ringKeep is the memory an empty queue may keep: idle actors are many.
	ringKeep = 256
)

// ring is a queue that grows by doubling and gives its memory back when it empties. Its length is a power of two. It
// holds no more than a Spec's limit allows, which mailboxMax keeps far below an int32.
type ring struct {
	buf  []any
	head int32
	n    int32
}

func (r *ring) push(v any) {
	if int(r.n) == len(r.buf) {
		bigger := make([]any, max(ringMin, 2*len(r.buf)))
		k := copy(bigger, r.buf[r.head:])
		copy(bigger[k:], r.buf[:r.head])
		r.buf, r.head = bigger, 0
	}
	r.buf[int(r.head+r.n)&(len(r.buf)-1)] = v
	r.n++
}

func (r *ring) pop() any {
	v := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) & int32(len(r.buf)-1)
	r.n--
	if r.n == 0 && len(r.buf) > ringKeep {
		r.buf, r.head = nil, 0
	}
	return v
}
