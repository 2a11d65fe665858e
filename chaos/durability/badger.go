package durability

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/troupe-sched/troupe/chaos/lossyfs"
)

// badger is a journal of one process on one disk. The process writes and checks; it must not be ours, because it maps
// files of a disk that we serve.
type badger struct {
	*run
	m     *machine
	marks string
	epoch uint64
	from  tip
	count uint64
}

func newBadger(r *run) *badger { return &badger{run: r, marks: filepath.Join(r.Dir, "marks")} }

func (b *badger) open(ctx context.Context) (err error) {
	if b.m, err = b.machine("badger", nil); err != nil {
		return err
	}
	if b.Lazy {
		b.m.disk.SetFaults(lossyfs.Faults{LoseSyncs: true})
	}
	return b.start(ctx, false, b.Window)
}

// start starts the process, which checks the log and then appends to it. What it found is added to the report.
func (b *badger) start(ctx context.Context, whole bool, window int) error {
	b.epoch++
	from := b.from
	if whole {
		from = tip{}
		b.report.WholeChecks++
	} else {
		b.report.Checks++
	}
	b.m.proc.SetProgram(append(append([]string(nil), b.Self...), "-kind="+b.Store, "-dir="+filepath.Join(b.m.dir, "store"), "-marks="+b.marks,
		"-epoch="+strconv.FormatUint(b.epoch, 10), "-window="+strconv.Itoa(window),
		"-from="+strconv.FormatUint(from.seq, 10), "-hash="+hex.EncodeToString(from.hash[:])))
	if _, err := b.m.up(ctx); err != nil {
		return err
	}
	data, err := os.ReadFile(b.marks + checkedSuffix)
	if err != nil {
		return err
	}
	var said checked
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("what the process has checked: %w", err)
	}
	b.report.add(said.Loss)
	b.report.Stored = said.Seq
	b.from.seq = said.Seq
	_, err = hex.Decode(b.from.hash[:], []byte(said.Hash))
	return err
}

func (b *badger) acked() uint64 {
	if info, err := os.Stat(b.marks); err == nil {
		b.count = uint64(info.Size() / markSize)
	}
	return b.count
}

func (b *badger) strike(_ context.Context, f fault) error {
	switch f {
	case cutFault:
		b.report.Cuts++
		b.report.CutsOfAll++
		if err := b.m.cut(b.torn()); err != nil {
			return err
		}
		b.lostBytes(b.m)
		return b.m.disk.Mount(b.m.dir)
	case killFault:
		b.report.Kills++
		return b.m.kill()
	}
	return fmt.Errorf("badger knows no %s", f)
}

// check lets the next process check, which then goes on.
func (b *badger) check(ctx context.Context, whole bool) error {
	window := b.Window
	if b.report.Records > 0 {
		window = 0 // the last
	}
	b.report.Writers++
	return b.start(ctx, whole, window)
}

func (b *badger) finish() error {
	err := b.m.kill()
	b.report.Records = b.acked()
	return err
}

func (b *badger) close() {
	if b.m != nil {
		b.m.close()
	}
}
