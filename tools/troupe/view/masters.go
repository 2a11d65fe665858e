package view

import (
	"fmt"
	"strconv"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// silent is after how long without a word a master is shown as such; followers say one every second.
const silent = 3500 * time.Millisecond

// Masters writes who leads and who follows.
func Masters(p *Page, r *v1.ListMastersReply) {
	t := NewTable("MASTER", "ROLE", ">EPOCH", ">RECORD", ">LAG", ">SINCE", ">HEARD", "VERSION", "~HOST")
	for _, m := range r.GetMasters() {
		heard, role := "", m.GetRole()
		if ago := time.Duration(m.GetHeardMs()) * time.Millisecond; ago > 0 {
			heard = fmt.Sprintf("%s ago", ago.Round(100*time.Millisecond))
			if ago > silent {
				role += ", silent"
			}
		}
		t.Row(m.GetId(), role, strconv.FormatUint(m.GetEpoch(), 10), some(m.GetSeq()), Count(m.GetLag()),
			p.age(m.GetSinceUnixMs()), heard, m.GetVersion(), m.GetHost())
	}
	t.Write(p)
}

// Resigned writes what became of a request to hand over.
func Resigned(p *Page, r *v1.ResignReply) {
	if r.GetFrom() == "" {
		p.Line("that leader has gone already; %s leads epoch %d", r.GetTo(), r.GetEpoch())
		return
	}
	p.Line("%s hands epoch %d over to %s", r.GetFrom(), r.GetEpoch(), r.GetTo())
}
