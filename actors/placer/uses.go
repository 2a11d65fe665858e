package placer

import (
	"maps"
	"slices"

	"github.com/troupe-sched/troupe/actors/kit"
	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
	"github.com/troupe-sched/troupe/actors/policy/share"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// usesDue is the timer that tells queues what they use.
type usesDue struct{}

// usesSoon makes sure that queues hear of what has changed.
func (a *Actor) usesSoon(ctx *kit.Context) {
	if a.accounts.stale && !a.telling {
		a.telling = true
		ctx.After("uses", usesEvery, usesDue{})
	}
}

// tellUses tells each queue what it uses, if that has changed since it was told.
func (a *Actor) tellUses(ctx *kit.Context) {
	a.telling, a.accounts.stale = false, false
	a.divide(ctx)
	for _, name := range slices.Sorted(maps.Keys(a.queues)) { //order: sorted
		q := a.queues[name]
		if q.part == share.NoQueue {
			continue
		}
		if use := a.use(q); !use.Equal(q.told) {
			q.told = use
			ctx.Tell(a.env.Refs.Queues, &msg.ToQueue{Name: name, Message: use})
		}
	}
}

// divide brings the shares of queues up to date. Without limits it ends the loans that still stand, and costs nothing.
func (a *Actor) divide(ctx *kit.Context) {
	if a.accounts.Limited() {
		a.recount()
	} else {
		a.kinds = 0
	}
	a.accounts.Divide(ctx.Now(), a.accounts.ledger)
}

// use is what a queue uses now.
func (a *Actor) use(q *queue) *msg.QueueUse {
	u := &msg.QueueUse{Used: &v1.Amounts{}, Waiting: &v1.Amounts{}, Lent: &v1.Amounts{}, Borrowed: &v1.Amounts{}}
	limited := a.accounts.Limited()
	for i := range int(model.NumResources) + len(a.accounts.units) {
		x := a.accounts.Account(q.part, i)
		a.put(u.Used, i, x.Held)
		a.put(u.Waiting, i, x.Waiting)
		if !limited {
			continue
		}
		a.put(u.Lent, i, x.Lent)
		a.put(u.Borrowed, i, x.Borrowed)
		if x.Allowed != share.Unset {
			if u.Allowed == nil {
				u.Allowed = &v1.Amounts{}
			}
			a.put(u.Allowed, i, x.Allowed)
		}
	}
	return u
}

// put writes the amount of one dimension.
func (a *Actor) put(to *v1.Amounts, dimension int, n int64) {
	switch dimension {
	case model.CPU:
		to.CpuMilli = n
	case model.Memory:
		to.MemoryBytes = n
	case model.Disk:
		to.DiskBytes = n
	case model.Net:
		to.NetBps = n
	default:
		if n != 0 {
			if to.Custom == nil {
				to.Custom = map[string]int64{}
			}
			to.Custom[a.accounts.units[dimension-int(model.NumResources)]] = n
		}
	}
}

// loans answers who lent what to whom, the newest first: those that go on, then those that have come back.
func (a *Actor) loans(r *v1.LedgerRequest) *v1.LedgerReply {
	reply := &v1.LedgerReply{}
	limit := int(r.GetLimit())
	if limit <= 0 || limit > loansKept {
		limit = loansKept
	}
	for e := range a.accounts.ledger.Entries(a.accounts.Division) {
		if len(reply.Loans) == limit {
			break
		}
		if q := r.GetQueue(); q != "" && e.Lender != q && e.Borrower != q {
			continue
		}
		l := &v1.Loan{Lender: e.Lender, Borrower: e.Borrower, Resource: e.Resource, Amount: e.Amount, SinceUnixMs: e.Since.UnixMilli()}
		if !e.Returned.IsZero() {
			l.Amount, l.ReturnedUnixMs = e.Most, e.Returned.UnixMilli()
		}
		reply.Loans = append(reply.Loans, l)
	}
	return reply
}
