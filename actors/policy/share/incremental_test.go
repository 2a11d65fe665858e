package share

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A division that is kept up to date equals one that is made at once, after any changes; grants change nothing in it.
func TestF27_IncrementalEqualsAnew(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		parties := map[string]*party{}
		kept, ledger := New("cpu"), NewLedger(16)
		capacity := int64(100)
		kept.SetCapacity([]int64{capacity})
		one := []int64{1}
		for step := range 200 {
			name := fmt.Sprintf("q%d", rng.IntN(6))
			p := parties[name]
			if p == nil {
				p = &party{quota: Unset, max: Unset}
				parties[name] = p
			}
			q := kept.Add(name)
			tenure, n := Tenure(rng.IntN(2)), rng.Int64N(30)-10
			switch rng.IntN(8) {
			case 0:
				p.quota, p.max = rng.Int64N(60)-10, Unset
				if rng.IntN(4) == 0 {
					p.max = rng.Int64N(80)
				}
				kept.SetLimits(q, []int64{p.quota}, []int64{p.max})
			case 1:
				kept.Remove(q)
				delete(parties, name)
			case 2, 3:
				p.waits[tenure] = max(p.waits[tenure]+n, 0)
				kept.Wait(q, tenure, one, n)
			case 4:
				p.held[tenure] = max(p.held[tenure]+n, 0)
				kept.Hold(q, tenure, one, n)
			case 5: // more than it asked for, perhaps
				n = max(n, 0)
				p.waits[tenure] = max(p.waits[tenure]-n, 0)
				p.held[tenure] += n
				kept.Grant(q, tenure, one, n)
			default:
				kept.Divide(time.Unix(int64(step), 0), ledger)
				before := kept.dims[0].accounts[q]
				room := kept.Fits(q, tenure, one)
				n = min(room.Own+room.Borrowed, p.waits[tenure])
				p.waits[tenure] -= n
				p.held[tenure] += n
				kept.Grant(q, tenure, one, n)
				kept.Divide(time.Unix(int64(step), 0), ledger)
				if after := kept.dims[0].accounts[q]; after.own != before.own || after.credit != before.credit {
					t.Fatalf("seed %d: a grant changed %+v into %+v", seed, before, after)
				}
			}
			kept.Divide(time.Unix(int64(step), 0), ledger)
			compareAnew(t, seed, kept, parties, capacity)
		}
	}
}

func compareAnew(t *testing.T, seed uint64, kept *Division, parties map[string]*party, capacity int64) {
	t.Helper()
	list, queues := []party{}, []Queue{}
	for q, name := range kept.queues { // units go to lower queues first, so the order must be the same
		if p := parties[name]; p != nil {
			list, queues = append(list, *p), append(queues, Queue(q))
		}
	}
	anew := made(capacity, list)
	var lent, borrowed, fromCell int64
	for i, q := range queues {
		a, b := kept.Account(q, 0), anew.Account(Queue(i), 0)
		lent, borrowed = lent+a.Lent, borrowed+a.Borrowed
		a.Lent, b.Lent = 0, 0 // which of the lenders depends on what was before
		if a != b {
			t.Fatalf("seed %d, queue %s: kept %+v, anew %+v", seed, kept.Name(q), a, b)
		}
	}
	for _, l := range kept.Loans(0) {
		if l.Amount <= 0 || l.Amount > l.Most || kept.Name(l.Borrower) == "" || (l.Lender != NoQueue && kept.Name(l.Lender) == "") {
			t.Fatalf("seed %d: loan %+v", seed, l)
		}
		if l.Lender == NoQueue {
			fromCell += l.Amount
		}
	}
	if lent+fromCell != borrowed {
		t.Fatalf("seed %d: %d lent and %d of the cell, %d borrowed", seed, lent, fromCell, borrowed)
	}
}

// crowd is a cell of so many queues that all want more than they have in six dimensions; every third has no quota.
func crowd(queues int) *Division {
	d := New("cpu", "memory", "disk", "net", "gpu", "licence")
	rng := rand.New(rand.NewPCG(5, 5))
	capacity := make([]int64, 6)
	for i := range queues {
		q := d.Add(fmt.Sprintf("q%d", i))
		quota, each := make([]int64, 6), make([]int64, 6)
		for k := range quota {
			quota[k], each[k] = rng.Int64N(1<<40), 1+rng.Int64N(1<<32)
			capacity[k] += quota[k]
		}
		if i%3 > 0 {
			d.SetLimits(q, quota, nil)
		}
		d.Hold(q, Loose, each, rng.Int64N(100))
		d.Wait(q, Loose, each, rng.Int64N(1000))
		d.Wait(q, Firm, each, rng.Int64N(100))
	}
	d.SetCapacity(capacity)
	d.Divide(time.Time{}, nil)
	return d
}

func TestF26_DividingAllocatesNothing(t *testing.T) {
	d, l, each := crowd(100), NewLedger(100), []int64{1000, 1 << 20, 1, 1, 1, 1}
	n := int64(1)
	change := func() {
		d.Wait(5, Loose, each, 1000*n)
		d.Hold(9, Loose, each, 10*n)
		n = -n
		d.Divide(time.Time{}, l)
		d.Fits(5, Loose, each)
	}
	for range 20 {
		change()
	}
	if allocs := testing.AllocsPerRun(50, change); allocs > 0 {
		t.Fatalf("%v allocations a division", allocs)
	}
}

func BenchmarkDivide(b *testing.B) {
	for _, queues := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("queues=%d/dimensions=6", queues), func(b *testing.B) {
			d, each := crowd(queues), []int64{1000, 1 << 20, 1, 1, 1, 1}
			n := int64(1)
			b.ReportAllocs()
			for b.Loop() {
				d.Wait(5, Loose, each, n)
				n = -n
				d.Divide(time.Time{}, nil)
			}
		})
	}
}

func BenchmarkFits(b *testing.B) {
	d, each := crowd(1000), []int64{1000, 1 << 20, 1, 1, 1, 1}
	for i := 0; b.Loop(); i++ {
		d.Fits(Queue(i%1000), Loose, each)
	}
}

func ExampleDivision() {
	d, ledger := New("cpu"), NewLedger(100)
	d.SetCapacity([]int64{100})
	web, night := d.Add("web"), d.Add("night")
	d.SetLimits(web, []int64{70}, nil)
	d.SetLimits(night, []int64{20}, nil)
	slot := []int64{5}
	d.Wait(web, Firm, slot, 4)
	d.Wait(night, Loose, slot, 100)
	d.Divide(time.Unix(0, 0), ledger)
	fmt.Printf("night: %+v\n", d.Fits(night, Loose, slot)) // its quota, and the 10 that no quota claims; and what web leaves
	d.Grant(night, Loose, slot, 16)
	d.Divide(time.Unix(60, 0), ledger)
	for e := range ledger.Entries(d) {
		fmt.Println(e.Lender, "lends", e.Borrower, e.Amount, "of", e.Resource)
	}
	// Output:
	// night: {Own:6 Borrowed:10 Yielded:0}
	// web lends night 50 of cpu
}
