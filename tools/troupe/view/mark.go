package view

import (
	"fmt"
	"time"

	"github.com/troupe-sched/troupe/actors/model"
)

// Mark shows as of when an answer is that may be stale.
func Mark(p *Page, m model.Mark) {
	old := "its age is not known"
	if m.Age >= 0 {
		old = fmt.Sprintf("at most %v old", m.Age.Round(10*time.Millisecond))
	}
	if m.Lag > 0 {
		old += fmt.Sprintf(", %d records behind the leader", m.Lag)
	}
	p.Line("as of record %d of epoch %d, told by master %s: %s", m.Seq, m.Epoch, m.Master, old)
}
