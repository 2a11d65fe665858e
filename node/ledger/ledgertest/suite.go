// Package ledgertest is the conformance suite of ledger stores.
package ledgertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// RunStore holds a store against its contract. open makes an empty store; reopen opens a closed one again.
func RunStore(t *testing.T, open func(t *testing.T) ledger.Store, reopen func(t *testing.T, s ledger.Store) ledger.Store) {
	t.Run("empty", func(t *testing.T) { same(t, open(t), nil) })
	t.Run("kinds come back in order", func(t *testing.T) {
		s := open(t)
		all := everyKind()
		write(t, s, slices.Backward(all))
		same(t, s, all)
		s = again(t, s, reopen)
		same(t, s, all)
	})
	t.Run("writes replace and remove", func(t *testing.T) {
		s := open(t)
		all := everyKind()
		write(t, s, slices.All(all))
		all[1].Value = &v1.AttemptState{Fence: 3, Reason: "another"}
		write(t, s, slices.All([]ledger.Entry{all[1], {Key: all[0].Key}, {Key: ledger.Key{Kind: ledger.Slot, A: 999}}}))
		same(t, s, all[1:])
		s = again(t, s, reopen)
		same(t, s, all[1:])
	})
	t.Run("done comes in order, and a write without changes last", func(t *testing.T) { inOrder(t, open(t)) })
	t.Run("closed", func(t *testing.T) {
		s := open(t)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		s.Write(nil, func(err error) { done <- err })
		if err := <-done; !errors.Is(err, ledger.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if _, err := s.Load(); !errors.Is(err, ledger.ErrClosed) {
			t.Errorf("load: %v", err)
		}
	})
	t.Run("close waits for writes", func(t *testing.T) {
		s := open(t)
		var want []ledger.Entry
		failed := make(chan error, 200)
		for i := range uint64(200) {
			e := ledger.Entry{Key: ledger.Key{Kind: ledger.End, A: i}, Value: &v1.AttemptState{Fence: i, Result: make([]byte, 8<<10)}}
			want = append(want, e)
			s.Write([]ledger.Entry{e}, func(err error) { failed <- err })
		}
		s = again(t, s, reopen)
		for range want {
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
		}
		same(t, s, want)
	})
}

func everyKind() []ledger.Entry {
	return []ledger.Entry{
		{Key: ledger.Key{Kind: ledger.Head}, Value: &v1.LedgerHead{Node: "n", Incarnation: 1, Epoch: 2}},
		{Key: ledger.Key{Kind: ledger.End, A: 3}, Value: &v1.AttemptState{Fence: 3, Result: []byte("result")}},
		{Key: ledger.Key{Kind: ledger.End, A: 1 << 60}, Value: &v1.AttemptState{Fence: 1 << 60}},
		{Key: ledger.Key{Kind: ledger.Released, A: 5}, Value: &v1.SlotReleased{}}, // no bytes, and there all the same
		{Key: ledger.Key{Kind: ledger.Slot, A: 7}, Value: &v1.LedgerSlot{Launch: &v1.Launch{Slot: 7, Fence: 3}}},
		{Key: ledger.Key{Kind: ledger.Template, A: 1, B: 2}, Value: &v1.Template{JobUid: 1, Stage: 2}},
		{Key: ledger.Key{Kind: ledger.Template, A: 2, B: 0}, Value: &v1.Template{JobUid: 2}},
	}
}

func inOrder(t *testing.T, s ledger.Store) {
	const writes = 100
	order := make(chan int, writes+1)
	for i := range writes {
		s.Write([]ledger.Entry{{Key: ledger.Key{Kind: ledger.Head}, Value: &v1.LedgerHead{Epoch: uint64(i)}}}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			order <- i
		})
	}
	s.Write(nil, func(error) { order <- writes })
	for i := range writes + 1 {
		if got := <-order; got != i {
			t.Fatalf("write %d was done as number %d", got, i)
		}
	}
	same(t, s, []ledger.Entry{{Key: ledger.Key{Kind: ledger.Head}, Value: &v1.LedgerHead{Epoch: writes - 1}}})
}

func again(t *testing.T, s ledger.Store, reopen func(*testing.T, ledger.Store) ledger.Store) ledger.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return reopen(t, s)
}

func write(t *testing.T, s ledger.Store, entries func(func(int, ledger.Entry) bool)) {
	t.Helper()
	var changes []ledger.Entry
	for _, e := range entries {
		changes = append(changes, e)
	}
	done := make(chan error, 1)
	s.Write(changes, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, s ledger.Store, want []ledger.Entry) {
	t.Helper()
	got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	equal := func(a, b ledger.Entry) bool { return a.Key == b.Key && proto.Equal(a.Value, b.Value) }
	if !slices.EqualFunc(got, want, equal) {
		t.Fatalf("holds %s, want %s", text(got), text(want))
	}
	if !slices.IsSortedFunc(got, func(a, b ledger.Entry) int { return a.Key.Compare(b.Key) }) {
		t.Fatalf("not sorted: %s", text(got))
	}
}

func text(entries []ledger.Entry) string {
	var keys []string
	for _, e := range entries {
		keys = append(keys, fmt.Sprintf("%c/%d/%d", e.Key.Kind, e.Key.A, e.Key.B))
	}
	return fmt.Sprint(len(entries), keys)
}
