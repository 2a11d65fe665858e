package jetstreamlog

import (
	"encoding/binary"
	"fmt"

	"github.com/troupe-sched/troupe/actors/journal"
)

// A frame is one message of the stream: the records of one write. It begins with the sequence of the first, then each
// has its length before it; all numbers are varints. Records carry their own checksums.

// frameMax is the most bytes of the records of a frame; the numbers between them come on top.
const frameMax = journal.MaxRecord

func encodeFrame(first uint64, records [][]byte) []byte {
	size := binary.MaxVarintLen64
	for _, r := range records {
		size += binary.MaxVarintLen32 + len(r)
	}
	data := binary.AppendUvarint(make([]byte, 0, size), first)
	for _, r := range records {
		data = append(binary.AppendUvarint(data, uint64(len(r))), r...)
	}
	return data
}

// decodeFrame returns the records of a frame, numbered from first on: one at least.
func decodeFrame(data []byte) (first uint64, records [][]byte, err error) {
	first, n := binary.Uvarint(data)
	if n <= 0 || first == 0 {
		return 0, nil, fmt.Errorf("%w: a message of the stream is not a frame of records", journal.ErrCorrupt)
	}
	for data = data[n:]; len(data) > 0; {
		size, n := binary.Uvarint(data)
		if n <= 0 || size == 0 || size > uint64(len(data)-n) {
			return 0, nil, fmt.Errorf("%w: the frame of record %d is damaged at its record %d", journal.ErrCorrupt, first, len(records))
		}
		records = append(records, data[n:n+int(size):n+int(size)])
		data = data[n+int(size):]
	}
	if len(records) == 0 || first+uint64(len(records)) < first {
		return 0, nil, fmt.Errorf("%w: the frame of record %d has %d records", journal.ErrCorrupt, first, len(records))
	}
	return first, records, nil
}
