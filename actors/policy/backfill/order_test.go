package backfill

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestF20_OrdersByHand(t *testing.T) {
	const minute = 60_000
	// a came first and is long and small, b is short and wide, c is medium in both.
	a := &Waiting{Since: 0, Serial: 1, Turns: 2, Duration: 100 * minute, Share: 100}
	b := &Waiting{Since: 10, Serial: 2, Turns: 1, Duration: 10 * minute, Share: 3000}
	c := &Waiting{Since: 20, Serial: 3, Turns: 1, Duration: 30 * minute, Share: 400}
	for _, test := range []struct {
		o    Order
		want string
	}{{Fair, "bca"}, {FIFO, "abc"}, {Shortest, "bca"}, {Smallest, "acb"}, {Slowdown, "bca"}} {
		if got := orderOf(test.o, 1000, a, b, c); got != test.want {
			t.Errorf("%v: %s, want %s", test.o, got, test.want)
		}
	}
	own := FIFO.Key(a, 0)
	if ShortestFirst.Key(a, own).Compare(ShortestFirst.Key(b, FIFO.Key(b, 0))) <= 0 || EASY.Key(a, own) != own {
		t.Error("the ways to fill: shortest is not by duration, or easy is not in the queue's order")
	}
}

// orderOf names the demands a, b, c by their serials, in order.
func orderOf(o Order, now int64, list ...*Waiting) string {
	slices.SortFunc(list, func(x, y *Waiting) int { return o.Key(x, now).Compare(o.Key(y, now)) })
	var s strings.Builder
	for _, w := range list {
		s.WriteByte("abcdefgh"[w.Serial-1])
	}
	return s.String()
}

func drawWaiting(r *rand.Rand, serial uint64) *Waiting {
	w := &Waiting{Since: r.Int64N(1e9), Serial: serial, Duration: 1 + r.Int64N(1<<(1+r.IntN(40))), Share: 1 + r.Int64N(ShareUnit)}
	if r.IntN(20) == 0 {
		w.Duration = Never
	}
	return w
}

// exactly returns size over age without rounding, the size to the power of two.
func exactly(o Order, w *Waiting, now int64) *big.Rat {
	size := new(big.Int).Exp(big.NewInt(min(w.Duration, longest)), big.NewInt(2), nil)
	switch o {
	case Smallest:
		size.Mul(size, new(big.Int).Exp(big.NewInt(w.Share), big.NewInt(2), nil))
	case Slowdown:
		size.Mul(size, big.NewInt(w.Share))
	}
	age := big.NewInt(now/60_000 - w.Since/60_000 + 60)
	return new(big.Rat).SetFrac(size, new(big.Int).Exp(age, big.NewInt(2), nil))
}

// TestF23_KeysFollowTheExactRule compares with fractions of any size: where those differ by more than a thousandth, keys
// agree with them.
func TestF23_KeysFollowTheExactRule(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	decided := 0
	for range 20_000 {
		a, b := drawWaiting(r, 1), drawWaiting(r, 2)
		now := max(a.Since, b.Since) + r.Int64N(1e9)
		for _, o := range []Order{Shortest, Smallest, Slowdown} {
			x, y := exactly(o, a, now), exactly(o, b, now)
			ka, kb := o.Key(a, now), o.Key(b, now)
			if ka.Compare(kb) != -kb.Compare(ka) || ka.Compare(ka) != 0 {
				t.Fatalf("%v: not an order: %+v %+v", o, a, b)
			}
			ratio, _ := new(big.Rat).Quo(x, y).Float64()
			if ka.first < 2000 || kb.first < 2000 || ratio > 0.998 && ratio < 1.002 {
				continue
			}
			decided++
			if (ratio < 1) != (ka.Compare(kb) < 0) {
				t.Fatalf("%v at %d: %+v and %+v: exactly %v to %v, keys %+v %+v", o, now, a, b, x, y, ka, kb)
			}
		}
	}
	if decided < 20_000 {
		t.Errorf("only %d pairs were decided: the test shows little", decided)
	}
}

// TestF23_NobodyStarvesByNewcomers lets small demands come for ever: each order that ages looks at the large one first
// after a time that its size bounds.
func TestF23_NobodyStarvesByNewcomers(t *testing.T) {
	const hour = 3600_000
	large := &Waiting{Serial: 1, Duration: 24 * hour, Share: ShareUnit}
	for _, o := range []Order{Shortest, Smallest, Slowdown} {
		if !o.Ages() {
			t.Fatalf("%v does not age", o)
		}
		first := int64(-1)
		for now := int64(0); now < 100_000*hour && first < 0; now += 12 * hour {
			newcomer := &Waiting{Since: now, Serial: 2, Duration: hour, Share: ShareUnit / 64}
			if o.Key(large, now).Compare(o.Key(newcomer, now)) < 0 {
				first = now
			}
		}
		// size of the large one over that of the newcomers, in hours of waiting
		bound := map[Order]int64{Shortest: 24, Smallest: 24 * 64, Slowdown: 24 * 8}[o]
		if first < (bound-14)*hour || first > (bound+14)*hour {
			t.Errorf("%v: the large one goes first after %d hours, want %d", o, first/hour, bound)
		}
	}
	if Fair.Ages() || FIFO.Ages() {
		t.Error("fair and fifo need no aging")
	}
}

// TestF23_KeysChangeWithTicksOnly lets a list stay sorted between ticks.
func TestF23_KeysChangeWithTicksOnly(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		w := drawWaiting(r, 1)
		tick := (w.Since/Tick + 1 + r.Int64N(1000)) * Tick
		for _, o := range []Order{Fair, FIFO, Shortest, Smallest, Slowdown} {
			if o.Key(w, tick) != o.Key(w, tick+r.Int64N(Tick)) {
				t.Fatalf("%v: the key of %+v changes within a tick", o, w)
			}
		}
	}
}

func TestF23_NamesAndTheirErrors(t *testing.T) {
	for i, name := range OrderNames {
		if o, err := ParseOrder(name); err != nil || o != Order(i) || o.String() != name {
			t.Errorf("order %s: %v, %v", name, o, err)
		}
	}
	for i, name := range FillNames {
		if f, err := ParseFill(name); err != nil || f != Fill(i) || f.String() != name {
			t.Errorf("backfill %s: %v, %v", name, f, err)
		}
	}
	for _, name := range PolicyNames() {
		if p, err := PolicyNamed(name); err != nil || p.Name != name {
			t.Errorf("policy %s: %v, %v", name, p, err)
		}
	}
	if o, err := ParseOrder(""); err != nil || o != Fair {
		t.Errorf("no order: %v, %v", o, err)
	}
	for want, err := range map[string]error{
		`order: "large" is not known; there are ["fair" "fifo"`:   second(ParseOrder("large")),
		`backfill: "all" is not known; there are ["easy"`:         second(ParseFill("all")),
		`policy: "best" is not known; there are ["fcfs" "easy" "`: second(PolicyNamed("best")),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestShareOfTheCell(t *testing.T) {
	capacity := Amount{1000, 1 << 50, 0, 7}
	for _, test := range []struct {
		each Amount
		n    int64
		want int64
	}{
		{Amount{500}, 1, ShareUnit / 2},
		{Amount{500, 1 << 49}, 1, ShareUnit / 2},
		{Amount{1, 1 << 49}, 2, ShareUnit},
		{Amount{1}, 10, ShareUnit / 100},
		{Amount{2000}, 1, ShareUnit},
		{Amount{0, 0, 1}, 1, ShareUnit},
		{Amount{0, 0, 0, 1}, 1, ShareUnit / 7},
		{Amount{1 << 50, 1 << 50}, 1 << 40, ShareUnit},
		{Amount{}, 1, 0},
		{Amount{500}, 0, 0},
	} {
		if got := Share(test.each, capacity, test.n); got != test.want {
			t.Errorf("%d of %v: %d, want %d", test.n, test.each, got, test.want)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		each, all, n := r.Int64N(1<<50), 1+r.Int64N(1<<50), 1+r.Int64N(1<<(1+r.IntN(39)))
		want := new(big.Int).Mul(big.NewInt(each), big.NewInt(n))
		want.Div(want.Lsh(want, shareBits), big.NewInt(all))
		if want.Cmp(big.NewInt(ShareUnit)) > 0 {
			want.SetInt64(ShareUnit)
		}
		if got := Share(Amount{each}, Amount{all}, n); got != want.Int64() {
			t.Fatalf("%d of %d in %d: %d, want %d", n, each, all, got, want)
		}
	}
}

func TestRoot(t *testing.T) {
	for _, x := range []uint64{0, 1, 2, 3, 4, 99, 100, 101, 1 << 40, 1<<40 - 1, 1<<63 + 5, 1<<64 - 1} {
		r := root(x)
		sq := new(big.Int).Mul(new(big.Int).SetUint64(r), new(big.Int).SetUint64(r))
		next := new(big.Int).Mul(new(big.Int).SetUint64(r+1), new(big.Int).SetUint64(r+1))
		if sq.Cmp(new(big.Int).SetUint64(x)) > 0 || next.Cmp(new(big.Int).SetUint64(x)) <= 0 {
			t.Errorf("root of %d: %d", x, r)
		}
	}
}
