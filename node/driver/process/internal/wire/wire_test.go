package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func state(fence uint64, result int) *v1.ShimState {
	return &v1.ShimState{Pid: 7, BootId: "boot", Attempt: &v1.AttemptState{Fence: fence, Result: bytes.Repeat([]byte{'x'}, result)}}
}

// TestB46_TornState: a state torn at any place, or overwritten by anything, never reads as one: the one before it stands.
func TestB46_TornState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f, last, err := OpenState(path)
	if err != nil || last != nil {
		t.Fatalf("%v, %v", last, err)
	}
	var frame []byte
	for fence := range uint64(5) {
		if frame, err = f.Save(state(fence+1, 100)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(whole, frame)
	for cut := range frame {
		torn := bytes.Clone(whole)
		for i := at + cut; i < at+len(frame); i++ {
			torn[i] ^= 0x5a
		}
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := ReadState(path)
		if err != nil || st.Attempt.Fence != 4 {
			t.Fatalf("torn at byte %d: %v, %v", cut, st, err)
		}
	}
	// The next shim goes on behind the one that is whole.
	f, last, err = OpenState(path)
	if err != nil || last.Attempt.Fence != 4 {
		t.Fatalf("%v, %v", last, err)
	}
	if _, err := f.Save(state(6, 0)); err != nil {
		t.Fatal(err)
	}
	if st, err := ReadState(path); err != nil || st.Attempt.Fence != 6 {
		t.Fatalf("%v, %v", st, err)
	}
}

func TestB46_StateLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if st, err := ReadState(path); st != nil || err != nil {
		t.Fatalf("no file: %v, %v", st, err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("noise", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadState(path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Fatalf("noise: %v", err)
	}
	f, _, err := OpenState(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Save(state(1, 64<<10)); err != nil {
		t.Errorf("the largest result: %v", err)
	}
	if _, err := f.Save(state(2, stateMax)); err == nil {
		t.Error("a state beyond its place was saved")
	}
}

// TestS12_FramesInPieces: a stream cut anywhere gives the same frames.
func TestS12_FramesInPieces(t *testing.T) {
	var bytes []byte
	var err error
	for fence := range uint64(50) {
		if bytes, err = AppendFrame(bytes, fence, state(fence, int(fence*97%5000))); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	var d Decoder
	next := uint64(0)
	for len(bytes) > 0 {
		n := copy(d.Space(), bytes[:min(len(bytes), 1+random.IntN(3000))])
		d.Filled(n)
		bytes = bytes[n:]
		for {
			st := &v1.ShimState{}
			ok, err := d.Next(st)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if !proto.Equal(st, state(next, int(next*97%5000))) {
				t.Fatalf("frame %d is %v", next, st)
			}
			next++
		}
	}
	if next != 50 {
		t.Errorf("%d frames of 50", next)
	}
}

func TestS12_Names(t *testing.T) {
	for _, stage := range []string{"map", "a-b", "käse", "../../etc", "", strings.Repeat("x", 300)} {
		id := LogID{Fence: 1 << 40, UID: 3, Index: 4, Stage: SafeName(stage)}
		name := id.String()
		if back, ok := ParseLogID(name); !ok || back != id || strings.ContainsAny(name, "/\x00") || len(name) > 200 {
			t.Errorf("stage %q: name %q, back %v %v", stage, name, back, ok)
		}
	}
	for _, name := range []string{"", "x", "1-2-3-x", "notes"} {
		if id, ok := ParseLogID(name); ok {
			t.Errorf("%q is taken for %v", name, id)
		}
	}
	if n, ok := ParseSlot(SlotName(1 << 63)); !ok || n != 1<<63 {
		t.Error(n, ok)
	}
	if _, ok := ParseSlot("12"); ok {
		t.Error("12 is taken for a slot")
	}
	if s, base, ok := ParseSegment(SegmentName(Stderr, 77)); !ok || s != Stderr || base != 77 {
		t.Error(s, base, ok)
	}
}

// FuzzDecoder: whatever comes, it is frames or an error, and never a panic or a huge buffer.
func FuzzDecoder(f *testing.F) {
	frame, err := AppendFrame(nil, 1, state(1, 10))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Decoder
		for len(b) > 0 {
			n := copy(d.Space(), b)
			d.Filled(n)
			b = b[n:]
			for {
				if ok, err := d.Next(&v1.ShimState{}); err != nil {
					return
				} else if !ok {
					break
				}
			}
		}
	})
}
