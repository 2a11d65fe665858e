package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Queues writes a list of queues: their jobs and limits, then by resource what each is promised, holds and waits for.
func Queues(p *Page, queues []*v1.QueueStatus) {
	if len(queues) == 0 {
		p.Line("no queues")
		return
	}
	t := NewTable("QUEUE", ">LIVE JOBS", ">OF", ">ENDED", ">SLOTS", ">OF", ">RUNNING", ">WAITING", ">DONE", "ORDER", "BACKFILL", "SCORE", "~DESCRIPTION")
	for _, q := range queues {
		s, c := q.GetSpec(), q.GetCounts()
		t.Row(s.GetName(), Count(q.GetLiveJobs()), some(uint64(max(0, s.GetMaxJobs()))), Count(q.GetEndedJobs()), Count(c.GetSlots()),
			some(uint64(max(0, s.GetMaxSlots()))), some(c.GetRunning()), some(c.GetWaiting()), some(c.GetDone()),
			s.GetOrder(), s.GetBackfill(), s.GetScore().GetBy(), s.GetDescription())
	}
	t.Write(p)
	shares := NewTable("QUEUE", "RESOURCE", ">QUOTA", ">MAX", ">USED", ">LENT", ">BORROWED", ">MAY HOLD", ">WAITING")
	for _, q := range queues {
		sharesOf(shares, q)
	}
	if shares.Len() > 0 {
		p.Line("")
		shares.Write(p)
	}
}

// sharesOf adds a row for each resource that a queue names, holds or waits for.
func sharesOf(t *Table, q *v1.QueueStatus) {
	var quota, most []model.Amount
	if plan, wrong := model.CompileQueue(q.GetSpec()); wrong == nil {
		quota, most = plan.Quota, plan.Max
	}
	used, lent, borrowed := amounts(q.GetUsed()), amounts(q.GetLent()), amounts(q.GetBorrowed())
	waiting, allowed := amounts(q.GetWaiting()), amounts(q.GetAllowed())
	var names []string
	for _, list := range [][]model.Amount{quota, most, used, lent, borrowed, waiting} {
		for _, a := range list {
			names = append(names, a.Name)
		}
	}
	slices.SortFunc(names, byResource)
	for _, name := range slices.Compact(names) {
		t.Row(q.GetSpec().GetName(), name, amountOf(quota, name), amountOf(most, name), amountOf(used, name),
			amountOf(lent, name), amountOf(borrowed, name), amountOf(allowed, name), amountOf(waiting, name))
	}
}

// byResource puts the plain resources first, in their usual order.
func byResource(a, b string) int {
	place := func(name string) int {
		if i := slices.Index(model.ResourceNames[:], name); i >= 0 {
			return i
		}
		return model.NumResources
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a, b))
}

// amounts lists what is not zero.
func amounts(a *v1.Amounts) []model.Amount {
	var list []model.Amount
	for i, n := range [model.NumResources]int64{a.GetCpuMilli(), a.GetMemoryBytes(), a.GetDiskBytes(), a.GetNetBps()} {
		if n != 0 {
			list = append(list, model.Amount{Name: model.ResourceNames[i], N: n})
		}
	}
	for name, n := range a.GetCustom() { //order: sorted by whoever shows it
		if n != 0 {
			list = append(list, model.Amount{Name: name, N: n})
		}
	}
	return list
}

func amountOf(list []model.Amount, name string) string {
	for _, a := range list {
		if a.Name == name {
			return Amount(name, a.N)
		}
	}
	return ""
}

// Amount writes an amount of a resource or a custom unit: cores, bytes, bits per second, units.
func Amount(name string, n int64) string {
	switch slices.Index(model.ResourceNames[:], name) {
	case model.CPU:
		return CPU(n)
	case model.Memory, model.Disk:
		return Bytes(n)
	case model.Net:
		return Count(n) + " bit/s"
	}
	return Count(n)
}

// Ledger writes who lent what to whom.
func Ledger(p *Page, r *v1.LedgerReply) {
	if len(r.GetLoans()) == 0 {
		p.Line("no loans")
		return
	}
	t := NewTable("LENDER", "BORROWER", "RESOURCE", ">AMOUNT", ">LENT", ">RETURNED", ">FOR")
	for _, l := range r.GetLoans() {
		returned, until := "", p.Now.UnixMilli()
		if l.GetReturnedUnixMs() > 0 {
			returned, until = p.age(l.GetReturnedUnixMs())+" ago", l.GetReturnedUnixMs()
		}
		t.Row(l.GetLender(), l.GetBorrower(), l.GetResource(), Amount(l.GetResource(), l.GetAmount()), p.age(l.GetSinceUnixMs())+" ago",
			returned, Span(time.Duration(until-l.GetSinceUnixMs())*time.Millisecond))
	}
	t.Write(p)
}
