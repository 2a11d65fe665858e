package badgerlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// mark remembers, beside the database, the last record that was on disk. badger reads its write-ahead log up to the
// first entry whose checksum fails, and drops the rest without a word: right after a power cut, but a bit that flipped
// in the middle would take acknowledged records with it. The mark tells the two apart. It is written after every write
// and not synced: behind after a power cut, which proves nothing, but never ahead.
type mark struct{ file *os.File }

// markSize is the sequence and its CRC-32C.
const markSize = 12

func openMark(dir string) (*mark, error) {
	f, err := os.OpenFile(filepath.Join(dir, "journal.mark"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &mark{f}, nil
}

// read returns the sequence, 0 if there is none or it is damaged: the log must do without it then.
func (m *mark) read() (uint64, error) {
	var b [markSize]byte
	if _, err := m.file.ReadAt(b[:], 0); errors.Is(err, io.EOF) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	if crc32.Checksum(b[:8], castagnoli()) != binary.BigEndian.Uint32(b[8:]) {
		return 0, nil
	}
	return binary.BigEndian.Uint64(b[:]), nil
}

func (m *mark) write(seq uint64) error {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, markSize), seq)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	if _, err := m.file.WriteAt(b, 0); err != nil {
		return fmt.Errorf("mark of record %d: %w", seq, err)
	}
	return nil
}

func (m *mark) close() error {
	if err := m.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
