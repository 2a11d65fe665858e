package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/journal"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func encode(t testing.TB, rec *v1.Record) []byte {
	t.Helper()
	data, _, err := journal.EncodeRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// seal gives any body the frame of a record.
func seal(version byte, body []byte) []byte {
	data := append([]byte{version, 0, 0, 0, 0}, body...)
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	sum.Write(data[:1])
	sum.Write(body)
	binary.BigEndian.PutUint32(data[1:], sum.Sum32())
	return data
}

func TestS18_RecordComesBackAsItWas(t *testing.T) {
	rec := &v1.Record{Seq: 7, Epoch: 3, Prev: bytes.Repeat([]byte{9}, 32), TimeUnixNano: -1, Events: []*v1.Event{
		{Kind: &v1.Event_QueueSet{QueueSet: &v1.QueueSet{Spec: &v1.QueueSpec{Name: "q"}}}},
		{Kind: &v1.Event_JobProgressed{JobProgressed: &v1.JobProgressed{Results: []*v1.InstanceResult{{Index: 1, Data: []byte{0}}}}}},
	}}
	data, hash, err := journal.EncodeRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	got, again, err := journal.DecodeRecord(data)
	if err != nil || !proto.Equal(rec, got) || hash != again {
		t.Fatalf("%v comes back as %v, %v", rec, got, err)
	}
}

func TestS5_EveryFlippedBitIsFound(t *testing.T) {
	data := encode(t, &v1.Record{Seq: 7, Epoch: 3, Prev: bytes.Repeat([]byte{9}, 32)})
	for bit := range len(data) * 8 {
		spoiled := bytes.Clone(data)
		spoiled[bit/8] ^= 1 << (bit % 8)
		if _, _, err := journal.DecodeRecord(spoiled); !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
	for n := range len(data) {
		if _, _, err := journal.DecodeRecord(data[:n]); !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// What this version does not know it must not pass over: its meaning would be lost, and the next snapshot would
// make that final.
func TestWhatANewerVersionWroteFailsLoudly(t *testing.T) {
	rec, err := proto.Marshal(&v1.Record{Seq: 1, Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	newField := protowire.AppendVarint(protowire.AppendTag(bytes.Clone(rec), 99, protowire.VarintType), 1)
	event := protowire.AppendBytes(protowire.AppendTag(nil, 98, protowire.BytesType), nil)
	newEvent := protowire.AppendBytes(protowire.AppendTag(bytes.Clone(rec), 5, protowire.BytesType), event)
	for want, data := range map[string][]byte{
		"format 2":        seal(2, rec),
		"a newer version": seal(1, newField),
		"newer version":   seal(1, newEvent),
	} {
		if _, _, err := journal.DecodeRecord(data); !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	if _, _, err := journal.DecodeRecord(seal(1, rec)); err != nil {
		t.Errorf("the frame of this test is wrong: %v", err)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	host := strings.Repeat("h", journal.MaxRecord)
	_, _, err := journal.EncodeRecord(&v1.Record{Seq: 1, Events: []*v1.Event{
		{Kind: &v1.Event_EpochStarted{EpochStarted: &v1.EpochStarted{Epoch: 1, Host: host}}}}})
	if err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too large: %v", err)
	}
	_, _, err = journal.EncodeRecord(&v1.Record{Seq: 1, Events: []*v1.Event{
		{Kind: &v1.Event_EpochStarted{EpochStarted: &v1.EpochStarted{Epoch: 1, Host: "\xff"}}}}})
	if err == nil {
		t.Error("text that is not UTF-8 is encoded, and could never be read")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(encode(f, &v1.Record{Seq: 7, Epoch: 3}), false)
	f.Add([]byte{8, 1}, true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed { // gets past the checksum
			data = seal(1, data)
		}
		rec, hash, err := journal.DecodeRecord(data)
		if err != nil {
			if !errors.Is(err, journal.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, same, err := journal.EncodeRecord(rec)
		if err != nil && len(data) <= journal.MaxRecord {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if err == nil && bytes.Equal(again, data) && hash != same {
			t.Fatal("the same bytes, another hash")
		}
	})
}
