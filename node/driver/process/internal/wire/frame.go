// Package wire is the form of what agent and shim say to each other and of what the shim keeps on disk: one frame, a
// header and a message of protos/v1/shim.proto, is the same bytes in both places.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/proto"
)

// FrameMax bounds one frame. The largest is the plan of a stage: a command and an environment.
const FrameMax = 4 << 20

// headerSize: length of the message, checksum over number and message, number.
const headerSize = 4 + 4 + 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged says that bytes are not a whole frame: torn, overwritten or never one.
var ErrDamaged = errors.New("damaged frame")

// AppendFrame encodes m as the frame of that number and appends it to b.
func AppendFrame(b []byte, number uint64, m proto.Message) ([]byte, error) {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	b, err := proto.MarshalOptions{}.MarshalAppend(b, m)
	if err != nil {
		return b[:start], fmt.Errorf("encode %T: %w", m, err)
	}
	frame := b[start:]
	if size := len(frame) - headerSize; size > FrameMax {
		return b[:start], fmt.Errorf("encode %T: %d bytes, limit %d", m, size, FrameMax)
	}
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-headerSize))
	binary.LittleEndian.PutUint64(frame[8:], number)
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[8:], castagnoli))
	return b, nil
}

// decode takes the frame at the start of b. size is 0 if b does not hold all of it yet.
func decode(b []byte) (number uint64, message []byte, size int, err error) {
	if len(b) < headerSize {
		return 0, nil, 0, nil
	}
	length := binary.LittleEndian.Uint32(b)
	if length > FrameMax {
		return 0, nil, 0, fmt.Errorf("%w: length %d", ErrDamaged, length)
	}
	size = headerSize + int(length)
	if len(b) < size {
		return 0, nil, 0, nil
	}
	if binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:size], castagnoli) {
		return 0, nil, 0, fmt.Errorf("%w: checksum", ErrDamaged)
	}
	return binary.LittleEndian.Uint64(b[8:]), b[headerSize:size], size, nil
}

// Decoder cuts a stream of bytes into frames. It keeps its buffer from one frame to the next.
type Decoder struct {
	buf        []byte
	start, end int
}

// Space is where the next bytes of the stream go; Filled says how many came.
func (d *Decoder) Space() []byte {
	if d.start == d.end {
		d.start, d.end = 0, 0
	}
	if len(d.buf)-d.end < 512 {
		if d.start > len(d.buf)/2 {
			d.end = copy(d.buf, d.buf[d.start:d.end])
			d.start = 0
		} else {
			d.buf = append(d.buf, make([]byte, max(4096, len(d.buf)))...)
		}
	}
	return d.buf[d.end:]
}

// Filled takes n bytes of Space into the stream.
func (d *Decoder) Filled(n int) { d.end += n }

// Next decodes the next frame into m; it is false if more bytes are needed. After an error the stream is lost.
func (d *Decoder) Next(m proto.Message) (bool, error) {
	_, message, size, err := decode(d.buf[d.start:d.end])
	if err != nil || size == 0 {
		return false, err
	}
	d.start += size
	if err := proto.Unmarshal(message, m); err != nil {
		return false, fmt.Errorf("decode %T: %w", m, err)
	}
	return true, nil
}
