package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// MaxRecord is the most bytes of one encoded record. It leaves room for headers in a message of NATS servers with a
	// max_payload of 2 MiB, and admits a job spec of 1 MiB.
	MaxRecord = 2<<20 - 64<<10
	// MaxInFlight is the most appends that a Log takes before their done is called; a further one fails. The journal
	// actor keeps its window below it.
	MaxInFlight = 4096
)

// A record on disk: one byte of version, CRC-32C over version and body, then the body, a v1.Record. The checksum finds
// damage to this record wherever it is read; the hash of the whole, which the next record carries, finds a record that
// was exchanged or left out.
const (
	recordVersion = 1
	recordHeader  = 5
)

// EncodeRecord is the form in which a record is stored, and its hash: what the next record must carry as prev.
func EncodeRecord(rec *v1.Record) (data []byte, hash [32]byte, err error) {
	data = make([]byte, recordHeader, recordHeader+proto.Size(rec))
	data[0] = recordVersion
	data, err = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(data, rec)
	if err != nil {
		return nil, hash, fmt.Errorf("encode record %d: %w", rec.GetSeq(), err)
	}
	if len(data) > MaxRecord {
		return nil, hash, fmt.Errorf("encode record %d: %d bytes, at most %d are possible", rec.GetSeq(), len(data), MaxRecord)
	}
	binary.BigEndian.PutUint32(data[1:], checksum(data))
	return data, sha256.Sum256(data), nil
}

// DecodeRecord is the reverse of EncodeRecord. Damage, and anything that this version does not understand, is
// ErrCorrupt: to go on without it would be to lose it.
func DecodeRecord(data []byte) (rec *v1.Record, hash [32]byte, err error) {
	switch {
	case len(data) < recordHeader:
		return nil, hash, fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(data))
	case data[0] != recordVersion:
		return nil, hash, fmt.Errorf("%w: record of format %d, this version knows format %d", ErrCorrupt, data[0], recordVersion)
	case binary.BigEndian.Uint32(data[1:]) != checksum(data):
		return nil, hash, fmt.Errorf("%w: record of %d bytes does not match its checksum", ErrCorrupt, len(data))
	}
	rec = &v1.Record{}
	if err := model.UnmarshalExact(data[recordHeader:], rec); err != nil {
		return nil, hash, fmt.Errorf("%w: record: %w", ErrCorrupt, err)
	}
	return rec, sha256.Sum256(data), nil
}

// checksum leaves out the four bytes that hold it.
func checksum(data []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(data[:1], table), table, data[recordHeader:])
}
