package share

// scratch is memory that one division leaves to the next.
type scratch struct {
	firm, loose []int64 // by Queue: what is wanted and not given yet
	kept        []int64 // by Queue: what firm work holds of that
	claims      []claim
	need, offer []int64 // by Queue
	stays       []int64 // by place in loans
	fresh, next []Loan
}

// round is one step in giving out a pool: to which work, of which queues.
type round struct {
	tenure Tenure
	who    sharers
}

// sharers are the queues that take part in a round.
type sharers uint8

const (
	everybody sharers = iota
	withoutQuota
	withQuota // and in proportion to it
)

// The rounds in their order: what no quota claims, and what quotas leave unused.
var (
	unclaimedRounds = [...]round{{Firm, everybody}, {Loose, withoutQuota}, {Loose, withQuota}}
	lentRounds      = [...]round{{Loose, withQuota}, {Loose, withoutQuota}}
)

// divide computes what each queue may hold in one dimension.
func (d *Division) divide(dim *dimension) {
	if dim.quotas == 0 {
		for q := range dim.accounts {
			a := &dim.accounts[q]
			a.guaranteed, a.firm, a.own, a.credit = 0, unlimited, unlimited, 0
			if a.max >= 0 {
				a.firm, a.own = a.max, a.max
			}
		}
		return
	}
	s := &d.scratch
	n := len(dim.accounts)
	s.firm, s.loose, s.kept = sized(s.firm, n), sized(s.loose, n), sized(s.kept, n)
	var quotas, guaranteed, unused int64
	for q := range dim.accounts {
		a := &dim.accounts[q]
		a.guarantee(&s.firm[q], &s.loose[q])
		s.kept[q] = min(s.firm[q], max(a.held[Firm]-a.firm, 0))
		quotas, guaranteed = add(quotas, max(a.quota, 0)), add(guaranteed, a.guaranteed)
		unused = add(unused, max(a.quota, 0)-a.guaranteed)
	}
	unclaimed := max(dim.capacity-quotas, 0)
	left := unclaimed
	for _, r := range unclaimedRounds {
		left = d.round(dim, r, left, false)
	}
	lent := min(unused, max(dim.capacity-guaranteed-(unclaimed-left), 0))
	for _, r := range lentRounds {
		lent = d.round(dim, r, lent, true)
	}
}

// guarantee gives a queue what it wants of its own quota, and says what it wants beyond that.
func (a *account) guarantee(firm, loose *int64) {
	*firm, *loose = add(a.held[Firm], a.waits[Firm]), add(a.held[Loose], a.waits[Loose])
	if a.max >= 0 {
		*firm = min(*firm, a.max)
		*loose = min(*loose, a.max-*firm)
	}
	quota := max(a.quota, 0)
	a.firm = min(*firm, quota)
	a.guaranteed = a.firm + min(*loose, quota-a.firm)
	*firm -= a.firm
	*loose -= a.guaranteed - a.firm
	a.own, a.credit = a.guaranteed, 0
}

// round gives a pool to what queues still want, as their own or as credit, and returns what is left of it.
func (d *Division) round(dim *dimension, r round, pool int64, lent bool) (left int64) {
	if pool == 0 {
		return 0
	}
	s := &d.scratch
	wants := s.firm
	if r.tenure == Loose {
		wants = s.loose
	}
	s.claims = s.claims[:0]
	for q, want := range wants {
		quota := max(dim.accounts[q].quota, 0)
		if want == 0 || (r.who == withQuota && quota == 0) || (r.who == withoutQuota && quota > 0) {
			continue
		}
		weight := uint64(1)
		if r.who == withQuota {
			weight = uint64(quota)
		}
		c := claim{queue: Queue(q), want: uint64(want), weight: weight}
		if r.tenure == Firm {
			c.floor = uint64(s.kept[q])
		}
		s.claims = append(s.claims, c)
	}
	left = int64(keep(uint64(pool), s.claims))
	for _, c := range s.claims {
		a, got := &dim.accounts[c.queue], int64(c.got)
		wants[c.queue] -= got
		switch {
		case lent:
			a.credit += got
		case r.tenure == Firm:
			a.own, a.firm = a.own+got, a.firm+got
		default:
			a.own += got
		}
	}
	return left
}

// sized is a list of n zeros in the memory of another.
func sized(list []int64, n int) []int64 {
	if cap(list) < n {
		return make([]int64, n, 2*n)
	}
	list = list[:n]
	clear(list)
	return list
}
