package share

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// Loan is what one queue holds of another's quota in one dimension.
type Loan struct {
	// Lender is NoQueue for what was promised to nobody: capacity that has gone, or a quota that was lowered.
	Lender, Borrower Queue
	// Amount is held now; Most was held at one time since the loan began.
	Amount, Most int64
	Since        time.Time
}

// Loans are the loans in one dimension, by borrower and lender. The list holds until the next Divide.
func (d *Division) Loans(dimension int) []Loan { return d.dims[dimension].loans }

// Entry is one line of the ledger: a loan that has come back, or still goes on.
type Entry struct {
	// Lender is empty for what was promised to nobody.
	Lender, Borrower, Resource string
	// Amount is what is still out, Most what was out at one time.
	Amount, Most int64
	Since        time.Time
	// Returned is zero while the loan goes on.
	Returned time.Time
}

// Ledger keeps the loans that have come back last. Those that go on are in the division, so none is lost before it ends.
type Ledger struct {
	ring []Entry
	next int
	full bool
}

// NewLedger keeps so many loans that have come back; beyond that the oldest are forgotten.
func NewLedger(entries int) *Ledger { return &Ledger{ring: make([]Entry, max(entries, 1))} }

func (l *Ledger) add(e Entry) {
	l.ring[l.next] = e
	if l.next++; l.next == len(l.ring) {
		l.next, l.full = 0, true
	}
}

// Entries goes through the loans of a division: those that go on, by dimension, borrower and lender, then those that
// have come back, the last first.
func (l *Ledger) Entries(d *Division) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range d.dims {
			for _, loan := range d.dims[i].loans {
				if !yield(d.entry(i, loan)) {
					return
				}
			}
		}
		kept := l.next
		if l.full {
			kept = len(l.ring)
		}
		for i := range kept {
			if !yield(l.ring[(l.next-1-i+len(l.ring))%len(l.ring)]) {
				return
			}
		}
	}
}

func (d *Division) entry(dim int, l Loan) Entry {
	return Entry{Lender: d.Name(l.Lender), Borrower: d.Name(l.Borrower), Resource: d.dims[dim].name, Amount: l.Amount, Most: l.Most, Since: l.Since}
}

// settle finds out who holds what of whose quota. A loan stays with its lender as long as that leaves enough unused; what
// it wants back goes over to others who do. What nobody leaves unused any more stays with the lender who waits for it.
func (d *Division) settle(i int, now time.Time, ledger *Ledger) {
	dim, s := &d.dims[i], &d.scratch
	s.need, s.offer = sized(s.need, len(dim.accounts)), sized(s.offer, len(dim.accounts))
	for q := range dim.accounts {
		a := &dim.accounts[q]
		a.borrowed, a.lent = 0, 0
		if dim.quotas == 0 {
			continue
		}
		held, quota := a.holds(), max(a.quota, 0)
		a.borrowed = max(held-max(a.own, quota), 0)
		s.need[q] = a.borrowed
		s.offer[q] = max(quota-max(a.guaranteed, held), 0) // it may hold more than guaranteed: over its maximum
	}
	if most := 4*len(dim.accounts) + 16; len(dim.loans) > most { // many small ones: begin anew, which makes few
		for _, l := range dim.loans {
			d.returned(i, l, now, ledger)
		}
		dim.loans = dim.loans[:0]
	}
	s.stays = sized(s.stays, len(dim.loans))
	for k, l := range dim.loans {
		if l.Lender != NoQueue {
			s.stays[k] = min(l.Amount, s.need[l.Borrower], s.offer[l.Lender])
			s.need[l.Borrower] -= s.stays[k]
			s.offer[l.Lender] -= s.stays[k]
		}
	}
	s.lend()
	for k, l := range dim.loans {
		stuck := min(l.Amount-s.stays[k], s.need[l.Borrower])
		if l.Lender != NoQueue && dim.accounts[l.Lender].quota < 0 {
			stuck = 0 // it has no quota any more
		}
		s.stays[k] += stuck
		s.need[l.Borrower] -= stuck
	}
	for q, need := range s.need {
		if need > 0 {
			s.fresh = append(s.fresh, Loan{Lender: NoQueue, Borrower: Queue(q), Amount: need})
		}
	}
	d.merge(i, now, ledger)
}

// lend matches those who still need with those who still offer, both in the order of queues.
func (s *scratch) lend() {
	s.fresh = s.fresh[:0]
	lender := 0
	for q := range s.need {
		for s.need[q] > 0 && lender < len(s.offer) {
			amount := min(s.need[q], s.offer[lender])
			if amount > 0 {
				s.fresh = append(s.fresh, Loan{Lender: Queue(lender), Borrower: Queue(q), Amount: amount})
				s.need[q] -= amount
				s.offer[lender] -= amount
			}
			if s.offer[lender] == 0 {
				lender++
			}
		}
	}
}

// merge makes the new list of loans out of those kept and those that are fresh.
func (d *Division) merge(i int, now time.Time, ledger *Ledger) {
	dim, s := &d.dims[i], &d.scratch
	slices.SortFunc(s.fresh, compareLoans)
	s.next = s.next[:0]
	fresh := s.fresh
	for k, l := range dim.loans {
		for len(fresh) > 0 && compareLoans(fresh[0], l) < 0 {
			s.next, fresh = append(s.next, begun(fresh[0], now)), fresh[1:]
		}
		amount := s.stays[k]
		if len(fresh) > 0 && compareLoans(fresh[0], l) == 0 {
			amount, fresh = amount+fresh[0].Amount, fresh[1:]
		}
		if amount == 0 {
			d.returned(i, l, now, ledger)
			continue
		}
		l.Amount, l.Most = amount, max(l.Most, amount)
		s.next = append(s.next, l)
	}
	for _, l := range fresh {
		s.next = append(s.next, begun(l, now))
	}
	dim.loans, s.next = s.next, dim.loans
	for _, l := range dim.loans {
		if l.Lender != NoQueue {
			dim.accounts[l.Lender].lent += l.Amount
		}
	}
}

func begun(l Loan, now time.Time) Loan {
	l.Most, l.Since = l.Amount, now
	return l
}

func (d *Division) returned(i int, l Loan, now time.Time, ledger *Ledger) {
	if ledger != nil {
		e := d.entry(i, l)
		e.Amount, e.Returned = 0, now
		ledger.add(e)
	}
}

func compareLoans(a, b Loan) int {
	return cmp.Or(cmp.Compare(a.Borrower, b.Borrower), cmp.Compare(a.Lender, b.Lender))
}
