package node_test

import (
	"testing"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/actors/msg"
)

// The placer is told apart what slots of one stage take that were granted before and after the stage was changed.
func TestB8_B34_SlotsOfAChangedStageAreToldBySize(t *testing.T) {
	b := newBench(t)
	b.hello(1)
	b.reserve(2)
	larger := each
	larger[model.CPU] += 100
	b.serial = b.env.IDs.Order()
	b.tell(&msg.Reserve{Serial: b.serial, Stage: model.StageID{Job: uid}, ID: id, Job: b.job, Each: larger, Slots: []model.SlotID{b.env.IDs.Slot()}})
	b.tell(&msg.ViewRequest{Through: b.serial})
	counts := map[model.Resources]int{}
	for _, h := range b.view.Held {
		counts[h.Each] += h.Count
	}
	if len(b.view.Held) != 2 || counts[each] != 2 || counts[larger] != 1 {
		t.Errorf("the placer sees %+v", b.view.Held)
	}
}
