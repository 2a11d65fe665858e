package durability

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgersnap"
)

// runSnapshots checks the newest generation against what was saved, says so, and then saves one generation after another
// until ctx ends. One that was saved must be there, or a later one; and what is there must be whole.
func (c *child) runSnapshots(ctx context.Context, out io.Writer) error {
	db, err := badgerdb.OpenWith(badgerdb.Options{Dir: c.dir, Log: c.log, Reserve: 64 << 20})
	if err != nil {
		return err
	}
	snaps := badgersnap.New(db)
	defer func() { _ = errors.Join(snaps.Close(), db.Close()) }() // the process ends
	marks, err := readMarks(c.marks, 0)
	if err != nil {
		return err
	}
	var found loss
	seq, entries, err := snaps.Load(ctx)
	if err != nil {
		found.note(&found.Disorder, 1, "%v", err)
	}
	if n := len(marks); n > 0 && marks[n-1].seq > seq {
		found.note(&found.Lost, marks[n-1].seq-seq, "generation %d was saved, and the newest is %d", marks[n-1].seq, seq)
	}
	if want := generation(seq); !equalEntries(entries, want) {
		found.note(&found.Disorder, 1, "generation %d has %d entries, and they are not the %d that were saved", seq, len(entries), len(want))
	}
	remember, err := c.up(out, tip{seq: seq}, found)
	if err != nil || c.window == 0 {
		<-ctx.Done()
		return err
	}
	for ctx.Err() == nil {
		seq++
		if err := snaps.Save(ctx, seq, generation(seq)); err != nil {
			return fmt.Errorf("save generation %d: %w", seq, err)
		}
		remember(tip{seq: seq})
	}
	return nil
}

// generation is what the snapshot of a sequence holds: for each another number of entries, and other ones.
func generation(seq uint64) (entries [][]byte) {
	if seq == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(seq, 5))
	for range 1 + random.IntN(300) {
		entry := binary.BigEndian.AppendUint64(nil, seq)
		entries = append(entries, append(entry, bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(2000))...))
	}
	return entries
}

func equalEntries(a, b [][]byte) bool {
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}
