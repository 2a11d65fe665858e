package backfill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestF23_PredictionsAgainstWholeHistories compares with lists that forget nothing but what is forgotten on purpose.
func TestF23_PredictionsAgainstWholeHistories(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		most := 1 + r.IntN(6)
		p := NewPredictor(most)
		past := map[string][]int64{}
		var recent []string // newest last
		for range 300 {
			owner := fmt.Sprint(r.IntN(9))
			stated := 1 + r.Int64N(1e7)
			if r.IntN(4) == 0 {
				stated = Never
			}
			for _, m := range []Method{Stated, Recent, Learned} {
				want := stated
				if runs := past[owner]; m != Stated && len(runs) >= 2 {
					n := min(map[Method]int{Recent: 2, Learned: 5}[m], len(runs))
					want = 0
					for _, ran := range runs[len(runs)-n:] {
						want += ran
					}
					want /= int64(n)
					if m == Recent {
						want = want / 1000 * 1000
					}
					want = max(1, min(want, stated))
				}
				if got := p.Predict(m, owner, stated); got != want {
					t.Fatalf("seed %d: %v of %s, stated %d: %d, want %d after %v", seed, m, owner, stated, got, want, past[owner])
				}
			}
			if r.IntN(2) == 0 {
				continue
			}
			ran := r.Int64N(1e7)
			p.Learn(owner, ran)
			past[owner] = append(past[owner], ran)
			if i := slices.Index(recent, owner); i >= 0 {
				recent = slices.Delete(recent, i, i+1)
			}
			if recent = append(recent, owner); len(recent) > most {
				delete(past, recent[0])
				recent = recent[1:]
			}
			if p.Owners() != len(recent) || p.Owners() > most {
				t.Fatalf("seed %d: %d owners remembered, want %d", seed, p.Owners(), len(recent))
			}
		}
	}
}

func TestF23_Corrections(t *testing.T) {
	const minute = 60_000
	for _, test := range []struct {
		c                   Correction
		first, last, stated int64
		before              int
		want                int64
	}{
		{ToStated, 10, 10, 500, 0, 500},
		{ToStated, 10, 10, Never, 0, 20},
		{ToStated, 10, 20, Never, 1, 40},
		{ToStated, 500, 500, 500, 0, 1000}, // what is stated was wrong
		{ToStated, 0, 0, Never, 0, 1},
		{Stepwise, 10, 10, Never, 0, 10 + minute},
		{Stepwise, 10, 10 + minute, Never, 1, 10 + 5*minute},
		{Stepwise, 10, 10, 30, 0, 30},
		{Stepwise, 10, 400 * 60 * minute, 500 * 60 * minute, 11, 500 * 60 * minute},
		{Stepwise, 10, 400 * 60 * minute, Never, 11, 800 * 60 * minute},
		{ToStated, Never, Never, Never, 0, Never},
	} {
		if got := test.c.Correct(test.first, test.last, test.stated, test.before); got != test.want {
			t.Errorf("%+v: %d", test, got)
		}
	}
	r := rand.New(rand.NewPCG(8, 8))
	for range 10_000 {
		first, stated := 1+r.Int64N(1e9), 1+r.Int64N(1e9)
		last := first
		for n := range 80 {
			next := Correction(r.IntN(2)).Correct(first, last, stated, n)
			if next <= last || last < stated && next > stated {
				t.Fatalf("correction %d of a run predicted %d, stated %d: from %d to %d", n, first, stated, last, next)
			}
			if last = next; last > 1e12 {
				break
			}
		}
	}
}

func TestAfterDoesNotOverflow(t *testing.T) {
	for _, test := range [][3]int64{{1, 2, 3}, {Never, 1, Never}, {1, Never, Never}, {Never, Never, Never}, {0, Never, Never}, {Never - 1, 1, Never}} {
		if got := After(test[0], test[1]); got != test[2] {
			t.Errorf("%d after %d: %d, want %d", test[1], test[0], got, test[2])
		}
	}
}
