package share

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawClaims(t *rapid.T) []claim {
	claims := make([]claim, rapid.IntRange(0, 8).Draw(t, "claims"))
	for i := range claims {
		claims[i] = claim{
			queue:  Queue(i),
			want:   rapid.Uint64Range(1, 60).Draw(t, "want"),
			weight: rapid.Uint64Range(1, 12).Draw(t, "weight"),
		}
	}
	return claims
}

func byQueue(claims []claim) []claim {
	slices.SortFunc(claims, func(a, b claim) int { return int(a.queue - b.queue) })
	return claims
}

func TestF26_FillIsUnitByUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fast := drawClaims(t)
		slow := slices.Clone(fast)
		pool := rapid.Uint64Range(0, 300).Draw(t, "pool")
		leftFast, leftSlow := fill(pool, fast), slowFill(pool, slow)
		if leftFast != leftSlow || !slices.Equal(byQueue(fast), slow) {
			t.Fatalf("pool %d: %v left %d, unit by unit %v left %d", pool, fast, leftFast, slow, leftSlow)
		}
		for _, a := range fast { // in proportion: what one has for its weight, each that wants more has too, but for a unit
			for _, b := range fast {
				if b.got < b.want && a.got*b.weight > (b.got+1)*a.weight {
					t.Fatalf("%+v beside %+v, which wants more", a, b)
				}
			}
		}
	})
}

// Amounts at the bounds neither wrap nor give away more than there is.
func TestF26_FillOfGreatAmounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		claims := make([]claim, 1+rng.IntN(QueuesMax))
		for i := range claims {
			claims[i] = claim{queue: Queue(i), want: 1 + rng.Uint64N(uint64(amountMax)), weight: 1 + rng.Uint64N(uint64(amountMax))>>rng.IntN(60)}
		}
		pool := rng.Uint64N(uint64(amountMax))
		var got, wanted uint64
		left := fill(pool, claims)
		for _, c := range claims {
			if c.got > c.want {
				t.Fatalf("%d of %d wanted", c.got, c.want)
			}
			got += c.got
			wanted = min(wanted+c.want, uint64(amountMax))
		}
		if got+left != pool || (left > 0 && got < wanted) {
			t.Fatalf("gave %d of %d and left %d, though %d is wanted", got, pool, left, wanted)
		}
	}
}

func drawAmount(t *rapid.T, most int64, name string) int64 {
	if rapid.IntRange(0, 2).Draw(t, name+" none") == 0 {
		return 0
	}
	return rapid.Int64Range(0, most).Draw(t, name)
}

func drawParties(t *rapid.T) []party {
	parties := make([]party, rapid.IntRange(1, 6).Draw(t, "queues"))
	for i := range parties {
		p := &parties[i]
		p.quota, p.max = Unset, Unset
		if rapid.Bool().Draw(t, "quota?") {
			p.quota = drawAmount(t, 40, "quota")
		}
		if rapid.IntRange(0, 3).Draw(t, "max?") == 0 {
			p.max = drawAmount(t, 60, "max")
		}
		for tenure := range p.held {
			p.held[tenure], p.waits[tenure] = drawAmount(t, 30, "held"), drawAmount(t, 40, "waits")
		}
	}
	return parties
}

// made is a division of one dimension among parties.
func made(capacity int64, parties []party) *Division {
	d := New("cpu")
	d.SetCapacity([]int64{capacity})
	for i, p := range parties {
		q := d.Add(fmt.Sprintf("q%d", i))
		d.SetLimits(q, []int64{p.quota}, []int64{p.max})
		for tenure := range p.held {
			d.Hold(q, Tenure(tenure), []int64{1}, p.held[tenure])
			d.Wait(q, Tenure(tenure), []int64{1}, p.waits[tenure])
		}
	}
	d.Divide(time.Time{}, nil)
	return d
}

func TestF25_F26_F27_DivisionFollowsTheRulesUnitByUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parties := drawParties(t)
		capacity := drawAmount(t, 150, "capacity")
		d := made(capacity, parties)
		for i, want := range slowDivide(capacity, parties) {
			a := d.dims[0].accounts[i]
			if got := (slowShare{a.guaranteed, a.firm, a.own, a.credit}); got != want {
				t.Fatalf("queue %d of %+v in %d: %+v, unit by unit %+v", i, parties, capacity, got, want)
			}
		}
	})
}

// Invariants 12 and 14, for any division at all.
func TestF25_F26_SharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parties := drawParties(t)
		capacity := drawAmount(t, 150, "capacity")
		d := made(capacity, parties)
		if d.dims[0].quotas == 0 {
			return
		}
		var guaranteed, unclaimed, credit, unused, quotas, borrowed, lent int64
		for i, p := range parties {
			a := d.Account(Queue(i), 0)
			guaranteed, unclaimed, credit = guaranteed+a.Guaranteed, unclaimed+a.Unclaimed, credit+a.Credit
			unused, quotas = unused+max(p.quota, 0)-a.Guaranteed, quotas+max(p.quota, 0)
			borrowed, lent = borrowed+a.Borrowed, lent+a.Lent
			wanted := a.Held + a.Waiting
			switch {
			case a.Guaranteed > max(p.quota, 0) || a.Guaranteed > wanted:
				t.Fatalf("guaranteed %d of quota %d, wanted %d", a.Guaranteed, p.quota, wanted)
			case a.Allowed != a.Guaranteed+a.Unclaimed+a.Credit || a.Allowed > wanted:
				t.Fatalf("allowed %+v, wanted %d", a, wanted)
			case p.max >= 0 && a.Allowed > p.max:
				t.Fatalf("allowed %d over the maximum %d", a.Allowed, p.max)
			case a.Credit > p.held[Loose]+p.waits[Loose]:
				t.Fatalf("credit %d for %d of loose work", a.Credit, p.held[Loose]+p.waits[Loose])
			case a.Held > a.Guaranteed+a.Unclaimed+a.Credit+a.Over || (p.max < 0 && a.Over > a.Borrowed):
				t.Fatalf("holds more than it was given: %+v", a)
			}
		}
		if credit > unused || unclaimed > max(capacity-quotas, 0) || guaranteed+unclaimed+credit > max(capacity, guaranteed) {
			t.Fatalf("%d lent of %d unused, %d of %d unclaimed, %d guaranteed in %d", credit, unused, unclaimed, capacity-quotas, guaranteed, capacity)
		}
		var byLoans, fromCell int64
		for _, l := range d.Loans(0) {
			byLoans += l.Amount
			if l.Lender == l.Borrower {
				t.Fatalf("queue %d lends to itself", l.Lender)
			}
			if l.Lender == NoQueue {
				fromCell += l.Amount
			}
		}
		if byLoans != borrowed || byLoans-fromCell != lent {
			t.Fatalf("loans of %d (%d of the cell), %d borrowed, %d lent", byLoans, fromCell, borrowed, lent)
		}
	})
}

// Who wants more never gets less, and takes from nobody less than before for others' sake.
func TestF26_DivisionIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parties := drawParties(t)
		capacity := drawAmount(t, 150, "capacity")
		before := made(capacity, parties)
		who := rapid.IntRange(0, len(parties)-1).Draw(t, "who")
		parties[who].waits[Loose] += rapid.Int64Range(1, 20).Draw(t, "more")
		after := made(capacity, parties)
		for i := range parties {
			old, fresh := before.Account(Queue(i), 0), after.Account(Queue(i), 0)
			if (i == who && fresh.Allowed < old.Allowed) || (i != who && fresh.Allowed > old.Allowed) {
				t.Fatalf("queue %d wants more; queue %d of %+v in %d was allowed %+v and is %+v", who, i, parties, capacity, old, fresh)
			}
			if i != who && fresh.Guaranteed < old.Guaranteed {
				t.Fatalf("queue %d lost guarantee", i)
			}
		}
	})
}

func TestF25_DimensionsAreDividedEachByItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawParties(t), drawParties(t)
		a, b = a[:min(len(a), len(b))], b[:min(len(a), len(b))]
		d := New("cpu", "memory")
		d.SetCapacity([]int64{70, 90})
		for i := range a {
			q := d.Add(fmt.Sprint(i))
			d.SetLimits(q, []int64{a[i].quota, b[i].quota}, []int64{a[i].max, b[i].max})
			for tenure := range a[i].held {
				d.Hold(q, Tenure(tenure), []int64{a[i].held[tenure], b[i].held[tenure]}, 1)
				d.Wait(q, Tenure(tenure), []int64{a[i].waits[tenure], b[i].waits[tenure]}, 1)
			}
		}
		d.Divide(time.Time{}, nil)
		one, other := made(70, a), made(90, b)
		for i := range a {
			q := Queue(i)
			if d.Account(q, 0) != one.Account(q, 0) || d.Account(q, 1) != other.Account(q, 0) {
				t.Fatalf("queue %d: %+v and %+v", i, d.Account(q, 0), d.Account(q, 1))
			}
		}
	})
}

// Whatever was lent by grants that Fits allowed can be taken back: an owner finds its whole room of its own free or with
// queues that hold more than they are allowed, and their work is loose.
func TestF26_WhatIsLentCanBeTakenBack(t *testing.T) {
	one := []int64{1}
	back := int64(0)
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 11))
		capacity, left := int64(60), int64(60)
		d := New("cpu")
		d.SetCapacity([]int64{capacity})
		for i := range 5 {
			q, quota := d.Add(fmt.Sprint(i)), Unset
			if rng.IntN(4) > 0 {
				quota = rng.Int64N(left + 1)
				left -= quota
			}
			d.SetLimits(q, []int64{quota}, nil)
		}
		free := capacity
		for range 60 {
			q, tenure := Queue(rng.IntN(5)), Tenure(rng.IntN(2))
			if rng.IntN(2) == 0 {
				d.Wait(q, tenure, one, rng.Int64N(20))
			}
			d.Divide(time.Time{}, nil)
			if sum := d.claimable(q, free); sum < d.Fits(q, tenure, one).Own {
				t.Fatalf("seed %d: queue %d has room for %+v, %d are free or can be taken back", seed, q, d.Fits(q, tenure, one), sum)
			} else if sum > free {
				back++
			}
			room := d.Fits(q, tenure, one)
			n := min(room.Own+room.Borrowed, free, d.dims[0].accounts[q].waits[tenure])
			d.Grant(q, tenure, one, n)
			free -= n
			if a := d.dims[0].accounts[q]; n > 0 && (a.holds() > a.own+a.credit || (tenure == Firm && a.held[Firm] > a.firm)) {
				t.Fatalf("seed %d: a grant within room passes what is allowed: %+v", seed, a)
			}
			if rng.IntN(4) == 0 { // something ends
				n := rng.Int64N(d.dims[0].accounts[q].held[tenure] + 1)
				d.Hold(q, tenure, one, -n)
				free += n
			}
		}
	}
	if back < 500 {
		t.Fatalf("%d claims on others in all: the test shows little", back)
	}
}

// claimable is what is free, and what a queue may take back from others.
func (d *Division) claimable(q Queue, free int64) int64 {
	recall := d.Recall([]int64{1}, FromOver, nil)
	for other := range d.queues {
		if Queue(other) != q {
			free += int64(recall.Take(int32(other), []int64{1}, 1000))
		}
	}
	return free
}

// Amounts without any sense give answers within bounds.
func TestF25_AmountsDoNotWrap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	some := func() []int64 { return []int64{int64(rng.Uint64()) >> rng.IntN(64)} }
	d := New("cpu")
	for range 20_000 {
		q := d.Add(fmt.Sprint(rng.IntN(8)))
		switch rng.IntN(8) {
		case 0:
			d.SetCapacity(some())
		case 1:
			d.SetLimits(q, some(), some())
		case 2:
			d.Hold(q, Tenure(rng.IntN(2)), some(), some()[0])
		case 3:
			d.Grant(q, Tenure(rng.IntN(2)), some(), some()[0])
		case 4:
			d.Remove(q)
		default:
			d.Wait(q, Tenure(rng.IntN(2)), some(), some()[0])
		}
		d.Divide(time.Time{}, nil)
		for q := range d.queues {
			a := d.Account(Queue(q), 0)
			for _, amount := range []int64{a.Held, a.Waiting, a.Guaranteed, a.Unclaimed, a.Credit, a.Borrowed, a.Over, a.Allowed + 1} {
				if amount < 0 || amount > 3*amountMax {
					t.Fatalf("%+v", a)
				}
			}
			if r := d.Fits(Queue(q), Loose, some()); r.Own < 0 || r.Borrowed < 0 || r.Yielded < 0 || r.Own+r.Borrowed > RoomMax {
				t.Fatalf("%+v", r)
			}
		}
	}
}

func TestF26_UnusedQuotaIsLentInProportionAndComesBack(t *testing.T) {
	start := time.Unix(1000, 0)
	d, l := New("cpu", "memory"), NewLedger(8)
	d.SetCapacity([]int64{100, 1000})
	web, ads, logs := d.Add("web"), d.Add("ads"), d.Add("logs")
	d.SetLimits(web, []int64{60}, nil)
	d.SetLimits(ads, []int64{30}, nil)
	d.SetLimits(logs, []int64{10}, nil)
	one := []int64{1, 5}
	d.Wait(ads, Loose, one, 200)
	d.Wait(logs, Loose, one, 200)
	d.Divide(start, l)
	for _, x := range []struct {
		q              Queue
		own, borrowed  int64
		allowed, quota int64
	}{{ads, 30, 45, 75, 30}, {logs, 10, 15, 25, 10}} { // 60 unused, 3 to 1
		a, r := d.Account(x.q, 0), d.Fits(x.q, Loose, one)
		if a.Allowed != x.allowed || r != (Room{Own: x.own, Borrowed: x.borrowed}) {
			t.Fatalf("%s: %+v %+v", d.Name(x.q), a, r)
		}
		if m := d.Account(x.q, 1); m.Allowed != Unset {
			t.Fatalf("memory has no quota: %+v", m)
		}
	}
	if r := d.Fits(ads, Firm, one); r.Own != 0 || r.Borrowed != 0 {
		t.Fatalf("firm work borrows: %+v", r)
	}
	d.Grant(ads, Loose, one, 75)
	d.Grant(logs, Loose, one, 25)
	d.Divide(start.Add(time.Second), l)
	if a := d.Account(web, 0); a.Lent != 60 {
		t.Fatalf("web lends %d", a.Lent)
	}
	d.Wait(web, Firm, one, 20)
	d.Divide(start.Add(2*time.Second), l)
	if r := d.Fits(web, Firm, one); r.Own != 20 {
		t.Fatalf("the owner may take %+v", r)
	}
	if x, y := d.Account(ads, 0), d.Account(logs, 0); x.Over != 15 || y.Over != 5 || x.Borrowed != 45 {
		t.Fatalf("over: %+v %+v", x, y)
	}
	for reach, want := range map[Reach]int{FromOver: 15, FromBorrowers: 45} {
		recall := d.Recall(one, reach, nil)
		mark := recall.Mark()
		if n := recall.Take(int32(ads), one, 100); n != want || recall.Take(int32(ads), one, 1) != 0 {
			t.Fatalf("%d slots of ads can be taken back, want %d", n, want)
		}
		if recall.Undo(mark); recall.Take(int32(ads), []int64{2}, 100) != (want+1)/2 {
			t.Fatal("the last slot that is taken back is partly the queue's own")
		}
	}
	d.Hold(ads, Loose, one, -45)
	d.Wait(ads, Loose, one, -200)
	d.Divide(start.Add(3*time.Second), l)
	var lines []string
	for e := range l.Entries(d) {
		lines = append(lines, fmt.Sprintf("%s>%s %s %d/%d since %d returned %v", e.Lender, e.Borrower, e.Resource, e.Amount, e.Most,
			e.Since.Unix(), !e.Returned.IsZero()))
	}
	want := []string{"web>logs cpu 15/15 since 1001 returned false", "web>ads cpu 0/45 since 1001 returned true"}
	if !slices.Equal(lines, want) {
		t.Fatalf("the ledger says %q", lines)
	}
}

// Queues may come and go without number in a cell that limits nothing, but only so many at a time.
func TestF25_QueuesAreBounded(t *testing.T) {
	d := New("cpu")
	for i := range 2 * QueuesMax {
		q := d.Add(fmt.Sprint(i))
		d.Hold(q, Loose, []int64{5}, 1)
		d.Remove(q)
	}
	for i := range QueuesMax {
		if d.Add(fmt.Sprint(i)) == NoQueue {
			t.Fatalf("queue %d is refused", i)
		}
	}
	if q := d.Add("one more"); q != NoQueue {
		t.Fatalf("queue %d is one too many", q)
	}
	if r := d.Fits(0, Loose, []int64{1}); r.Own != RoomMax || d.Limited() {
		t.Fatalf("a cell without limits has room for %+v", r)
	}
}
