package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Names in the directory of a driver:
//
//	lock                     held by the agent that drives it
//	slots/<slot>/            one slot: state, socket, shim.log, work/, result, progress
//	logs/<attempt>/          captured output, made with the first byte: <stream>.<offset of its first byte>
const (
	LockFile     = "lock"
	SlotsDir     = "slots"
	LogsDir      = "logs"
	StateName    = "state"
	SocketName   = "s"
	ShimLogName  = "shim.log"
	WorkName     = "work"
	ResultName   = "result"
	ProgressName = "progress"
)

// Streams of captured output.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// SlotName is the folder of a slot.
func SlotName(slot uint64) string { return fmt.Sprintf("%016x", slot) }

// ParseSlot is the slot whose folder has that name.
func ParseSlot(name string) (uint64, bool) {
	slot, err := strconv.ParseUint(name, 16, 64)
	return slot, err == nil && name == SlotName(slot)
}

// LogID names the captured output of one attempt. Its folder sorts by fence, which is by age.
type LogID struct {
	Fence, UID, Index uint64
	// Stage is its name, made safe by SafeName.
	Stage string
}

// String is the name of the folder.
func (l LogID) String() string {
	return fmt.Sprintf("%016x-%x-%d-%s", l.Fence, l.UID, l.Index, l.Stage)
}

// ParseLogID is the opposite of String.
func ParseLogID(name string) (LogID, bool) {
	parts := strings.SplitN(name, "-", 4)
	if len(parts) != 4 {
		return LogID{}, false
	}
	fence, err1 := strconv.ParseUint(parts[0], 16, 64)
	uid, err2 := strconv.ParseUint(parts[1], 16, 64)
	index, err3 := strconv.ParseUint(parts[2], 10, 64)
	id := LogID{Fence: fence, UID: uid, Index: index, Stage: parts[3]}
	return id, err1 == nil && err2 == nil && err3 == nil && id.String() == name
}

// SafeName turns the name of a stage into part of a file name: itself if it is harmless and short.
func SafeName(stage string) string {
	safe := url.PathEscape(stage)
	if len(safe) > 100 {
		sum := sha256.Sum256([]byte(stage))
		return hex.EncodeToString(sum[:16])
	}
	return safe
}

// SegmentName is the file that holds a stream from that offset on.
func SegmentName(stream string, offset int64) string { return fmt.Sprintf("%s.%d", stream, offset) }

// ParseSegment is the opposite of SegmentName.
func ParseSegment(name string) (stream string, offset int64, ok bool) {
	stream, digits, found := strings.Cut(name, ".")
	offset, err := strconv.ParseInt(digits, 10, 64)
	return stream, offset, found && err == nil && offset >= 0
}
