package wire

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Chunk is what a stream is made of: the output of attempts, or bytes.
type Chunk interface {
	*v1.LogChunk | *v1.Chunk
	proto.Message
}

// empty reports whether a chunk has no content. As a message of its own one that is all empty would end the stream.
func empty[C Chunk](c C) bool {
	switch c := any(c).(type) {
	case *v1.LogChunk:
		return len(c.GetData()) == 0 && c.GetSkipped() == 0
	case *v1.Chunk:
		return len(c.GetData()) == 0
	}
	return true
}

// cut takes a chunk apart into pieces that fit into a message each; none of one that is empty.
func cut[C Chunk](c C) (pieces []C) {
	if empty(c) {
		return nil
	}
	switch c := any(c).(type) {
	case *v1.LogChunk:
		data, offset, skipped := c.GetData(), c.GetOffset(), c.GetSkipped()
		for len(pieces) == 0 || len(data) > 0 {
			n := min(len(data), pieceMax)
			piece := &v1.LogChunk{Stream: c.GetStream(), Data: data[:n], Offset: offset, Skipped: skipped}
			pieces = append(pieces, any(piece).(C))
			data, offset, skipped = data[n:], offset+int64(n), 0
		}
	case *v1.Chunk:
		for data := c.GetData(); len(data) > 0; {
			n := min(len(data), pieceMax)
			pieces = append(pieces, any(&v1.Chunk{Data: data[:n]}).(C))
			data = data[n:]
		}
	}
	return pieces
}

// aliveAfter is the chunk without content that says in a long silence after c, nil at the begin, that the stream lives.
func aliveAfter[C Chunk](c C) proto.Message {
	if c, is := any(c).(*v1.LogChunk); is {
		return &v1.LogChunk{Stream: "stdout", Offset: c.GetOffset() + int64(len(c.GetData()))}
	}
	return &v1.Chunk{Alive: true}
}
