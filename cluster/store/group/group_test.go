package group

import (
	"errors"
	"fmt"
	"testing"

	"github.com/troupe-sched/troupe/actors/journal"
)

// gate is a store that waits to be let go on.
type gate struct {
	calls chan [][]byte
	reply chan error
}

func newGate() *gate { return &gate{make(chan [][]byte), make(chan error)} }

func (g *gate) store(_ uint64, records [][]byte) error {
	g.calls <- records
	return <-g.reply
}

// answers collects what done says, with the number of the append.
type answers chan string

func (a answers) done(n int) func(error) {
	return func(err error) { a <- fmt.Sprint(n, " ", err) }
}

func (a answers) want(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := <-a; got != w {
			t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func TestWhatWaitsGoesTogether(t *testing.T) {
	g, a := newGate(), make(answers, 100)
	w := New(0, 10, g.store)
	w.Append(1, []byte("one"), a.done(1))
	if got := <-g.calls; len(got) != 1 {
		t.Fatalf("first write %q", got)
	}
	for i := 2; i <= 6; i++ { // of three bytes: ten bytes are the most of one write
		w.Append(uint64(i), []byte("xxx"), a.done(i))
	}
	w.Append(7, make([]byte, 50), a.done(7))
	g.reply <- nil
	for _, n := range []int{3, 2, 1} {
		if got := <-g.calls; len(got) != n {
			t.Fatalf("a write of %d, want %d", len(got), n)
		}
		g.reply <- nil
	}
	a.want(t, "1 <nil>", "2 <nil>", "3 <nil>", "4 <nil>", "5 <nil>", "6 <nil>", "7 <nil>")
	w.Close()
	w.Append(8, []byte("x"), a.done(8))
	a.want(t, "8 "+journal.ErrClosed.Error())
	w.Close()
}

func TestAfterAFailureAllFail(t *testing.T) {
	g, a := newGate(), make(answers, 100)
	w := New(0, 10, g.store)
	w.Append(1, []byte("x"), a.done(1))
	<-g.calls
	w.Append(2, []byte("x"), a.done(2))
	g.reply <- errors.New("broken")
	a.want(t, "1 broken", "2 broken")
	w.Append(3, []byte("x"), a.done(3))
	a.want(t, "3 broken")
	w.Close()
}

// A store that is full has stored nothing. What waits is answered so, in order, and so is what comes behind it; then the
// first of them is taken again, as often as it must.
func TestB12_AFullStoreIsTriedAgain(t *testing.T) {
	full := fmt.Errorf("no room: %w", journal.ErrFull)
	g, a := newGate(), make(answers, 100)
	w := New(4, 10, g.store)
	w.Append(5, []byte("x"), a.done(5))
	<-g.calls
	w.Append(6, []byte("x"), a.done(6))
	w.Append(7, []byte("x"), a.done(7))
	g.reply <- full
	for _, n := range []int{5, 6, 7} {
		a.want(t, fmt.Sprint(n, " ", full))
	}
	w.Append(8, []byte("x"), a.done(8)) // on its way when the answers came
	a.want(t, fmt.Sprint(8, " ", full))
	for _, answer := range []error{full, nil} {
		w.Append(5, []byte("y"), a.done(5))
		if got := <-g.calls; len(got) != 1 || string(got[0]) != "y" {
			t.Fatalf("stores %q again", got)
		}
		g.reply <- answer
		a.want(t, fmt.Sprint(5, " ", answer))
	}
	w.Append(6, []byte("x"), a.done(6))
	<-g.calls
	g.reply <- nil
	a.want(t, "6 <nil>")
	w.Append(5, []byte("x"), a.done(5))
	a.want(t, "5 "+journal.ErrFenced.Error()+": append of record 5 after record 6")
	w.Close()
}

func TestARefusedAppendWaitsInLine(t *testing.T) {
	g, a := newGate(), make(answers, 100)
	w := New(4, 10, g.store)
	w.Append(5, []byte("x"), a.done(5))
	<-g.calls
	w.Append(6, []byte("x"), a.done(6))
	w.Append(9, []byte("x"), a.done(9))
	w.Append(7, []byte("x"), a.done(7))
	g.reply <- nil
	if got := <-g.calls; len(got) != 1 {
		t.Fatalf("%d records are stored, want only the one before the refused", len(got))
	}
	g.reply <- nil
	fenced := journal.ErrFenced.Error() + ": append of record 9 after record 6"
	a.want(t, "5 <nil>", "6 <nil>", "9 "+fenced, "7 "+fenced)
	w.Close()
}

func TestAnywhereTakesAnyFirst(t *testing.T) {
	a := make(answers, 100)
	w := NewAnywhere(10, func(first uint64, records [][]byte) error {
		if first != 77 || len(records) != 1 {
			t.Errorf("stores %d records from %d", len(records), first)
		}
		return nil
	})
	w.Append(77, []byte("x"), a.done(77))
	a.want(t, "77 <nil>")
	w.Append(79, []byte("x"), a.done(79))
	a.want(t, "79 "+journal.ErrFenced.Error()+": append of record 79 after record 77")
	w.Close()
}

func TestWhatWaitsIsBounded(t *testing.T) {
	g := newGate()
	w := New(0, 1, g.store)
	results := make(chan error, 2*journal.MaxInFlight)
	w.Append(1, []byte("x"), func(err error) { results <- err })
	<-g.calls
	for seq := uint64(2); seq <= journal.MaxInFlight+1; seq++ {
		w.Append(seq, []byte("x"), func(err error) { results <- err })
	}
	refused := make(chan error, 1)
	w.Append(journal.MaxInFlight+2, []byte("x"), func(err error) { refused <- err })
	go func() {
		for range g.calls {
			g.reply <- nil
		}
	}()
	g.reply <- nil
	for range journal.MaxInFlight + 1 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if err := <-refused; err == nil {
		t.Fatal("an append beyond the most is taken")
	}
	w.Close()
	close(g.calls)
}

func TestCloseStoresWhatWasTaken(t *testing.T) {
	g, a := newGate(), make(answers, 100)
	w := New(0, 10, g.store)
	w.Append(1, []byte("x"), a.done(1))
	<-g.calls
	w.Append(2, []byte("x"), a.done(2))
	closed := make(chan bool)
	go func() {
		w.Close()
		close(closed)
	}()
	g.reply <- nil
	<-g.calls
	g.reply <- nil
	<-closed
	a.want(t, "1 <nil>", "2 <nil>")
	if !w.Closed() {
		t.Fatal("it is not closed")
	}
}
