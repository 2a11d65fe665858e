package jetstreamlog

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// streamConfig is a stream as a journal needs it: on disk, replicated, full rather than forgetful, and never with a hole.
func streamConfig(opts Options) jetstream.StreamConfig {
	bytesMax := opts.BytesMax
	if bytesMax == 0 {
		bytesMax = -1
	}
	return jetstream.StreamConfig{
		Name:        StreamName(opts.Cell),
		Description: "journal of the Troupe cell " + opts.Cell,
		Subjects:    []string{Subject(opts.Cell)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    opts.Replicas,
		MaxBytes:    bytesMax,
		MaxMsgs:     -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		// A full journal refuses; it does not drop its beginning.
		Discard: jetstream.DiscardNew,
		// Single records cannot go. A purge up to a sequence is how the journal is trimmed, and stays possible.
		DenyDelete: true, DenyPurge: false,
		Duplicates: duplicates,
		// Reads go to the leader.
		AllowDirect: false,
	}
}

// settingsError tells what is wrong with a stream.
type settingsError struct {
	stream string
	wrong  []string
}

func (e *settingsError) Error() string {
	return fmt.Sprintf("stream %s cannot be a journal: %s; change it with `nats stream edit %s`, or, if there is nothing in it that you need, remove it and it is made anew",
		e.stream, strings.Join(e.wrong, ", "), e.stream)
}

// checkStream compares the settings of a stream that is there with those that a journal needs.
func checkStream(is jetstream.StreamConfig, opts Options) error {
	must := streamConfig(opts)
	if _, rest := is.Metadata[unfinished]; rest {
		return &settingsError{must.Name, []string{"a restore of it did not end: run that again with --force"}}
	}
	unlimited := func(n int64) any {
		if n <= 0 {
			return "unlimited"
		}
		return n
	}
	e := &settingsError{stream: must.Name}
	for _, s := range []struct {
		name     string
		is, must any
	}{
		{"subjects", is.Subjects, must.Subjects},
		{"retention", is.Retention, must.Retention},
		{"storage", is.Storage, must.Storage},
		{"replicas", is.Replicas, must.Replicas},
		{"discard", is.Discard, must.Discard},
		{"max age", is.MaxAge, must.MaxAge},
		{"max messages", unlimited(is.MaxMsgs), unlimited(must.MaxMsgs)},
		{"max messages per subject", unlimited(is.MaxMsgsPerSubject), unlimited(must.MaxMsgsPerSubject)},
		{"max message size", unlimited(int64(is.MaxMsgSize)), unlimited(int64(must.MaxMsgSize))},
		{"deny delete", is.DenyDelete, must.DenyDelete},
		{"deny purge", is.DenyPurge, must.DenyPurge},
		{"duplicates window at least", max(is.Duplicates, must.Duplicates), is.Duplicates},
		{"allow direct", is.AllowDirect, must.AllowDirect},
		{"allow rollup", is.AllowRollup, must.AllowRollup},
		{"message TTLs", is.AllowMsgTTL, must.AllowMsgTTL},
		{"message counters", is.AllowMsgCounter, must.AllowMsgCounter},
		{"no acknowledgements", is.NoAck, must.NoAck},
		{"sealed", is.Sealed, must.Sealed},
		{"mirror", is.Mirror != nil, false},
		{"sources", len(is.Sources), 0},
		{"subject transform", is.SubjectTransform != nil, false},
		{"persist mode", is.PersistMode, must.PersistMode},
	} {
		if fmt.Sprint(s.is) != fmt.Sprint(s.must) {
			e.wrong = append(e.wrong, fmt.Sprintf("%s is %v and must be %v", s.name, s.is, s.must))
		}
	}
	if len(e.wrong) > 0 {
		return e
	}
	return nil
}
