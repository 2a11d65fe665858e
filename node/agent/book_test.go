package agent

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/node/ledger"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func testBook(limits Limits) *book {
	cfg := &Config{Limits: limits.orDefault(), BootID: "boot", Info: &v1.NodeInfo{
		Id: "n1", CpuMilli: 1000, MemoryBytes: 1000, DiskBytes: 1000, NetBps: 1000,
		PortFrom: 100, PortTo: 199, Custom: map[string]int64{"license": 2}, Devices: []*v1.Device{{Kind: "gpu"}},
	}}
	return newBook(cfg, 1, []string{"func", "process"})
}

func templateOf(job uint64, change func(*v1.Template)) *order {
	t := &v1.Template{JobUid: job, Queue: "q", Job: "j", Spec: &v1.StageSpec{Name: "s"}, CpuMilli: 100, MemoryBytes: 100}
	if change != nil {
		change(t)
	}
	return &order{1, &v1.Command{Kind: &v1.Command_Template{Template: t}}}
}

func launchOf(slot, fence, job uint64) *order {
	return &order{1, &v1.Command{Kind: &v1.Command_Launch{Launch: &v1.Launch{Slot: slot, Fence: fence, JobUid: job}}}}
}

// launchWith is a launch into a slot with a port, a share of device 0 and custom units.
func launchWith(slot, fence, job uint64, port, milli int32, licenses int64) *order {
	o := launchOf(slot, fence, job)
	o.command.GetLaunch().Extra = &v1.SlotExtra{
		Ports: []*v1.Port{{Name: "web", Number: port}}, Devices: []*v1.DeviceShare{{Milli: milli}},
		Custom: map[string]int64{"license": licenses},
	}
	return o
}

func releaseOf(slot uint64) *order {
	return &order{1, &v1.Command{Kind: &v1.Command_Release{Release: &v1.ReleaseSlot{Slot: slot, Reason: "done"}}}}
}

func endOf(slot, fence uint64) *observed {
	return &observed{&v1.AttemptState{Slot: slot, Fence: fence, Phase: v1.AttemptPhase_ATTEMPT_PHASE_SUCCEEDED}}
}

// take decides on inputs as one durable batch and returns the reasons of refusals.
func (b *book) take(inputs ...any) (out []effect, refused []string) {
	for _, in := range inputs {
		b.decide(in)
	}
	_, out = b.commit()
	b.settle()
	for _, e := range out {
		if f, ok := e.message.(*fact); ok && f.change.GetRefused() != nil {
			refused = append(refused, f.change.GetRefused().GetReason())
		}
	}
	return out, refused
}

func TestB34_LaunchesAreAdmittedOrRefusedWithAReason(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		before []any
		launch *order
		want   string // part of the reason; empty if it is admitted
	}{
		{"admitted", Limits{}, []any{templateOf(7, nil)}, launchOf(1, 10, 7), ""},
		{"no slot", Limits{}, nil, launchOf(0, 10, 7), "slot and fence must not be 0"},
		{"no fence", Limits{}, nil, launchOf(1, 0, 7), "slot and fence must not be 0"},
		{"no template", Limits{}, nil, launchOf(1, 10, 7), "template unknown: job 7 stage 0"},
		{"template too large", Limits{TemplateBytes: 10}, []any{templateOf(7, nil)}, launchOf(1, 10, 7), "template unknown"},
		{"driver", Limits{}, []any{templateOf(7, func(t *v1.Template) { t.Spec.Driver = "vm" })}, launchOf(1, 10, 7),
			`driver "vm" is not on this node; it has: func, process`},
		{"cpu", Limits{}, []any{templateOf(7, func(t *v1.Template) { t.CpuMilli = 1001 })}, launchOf(1, 10, 7),
			"short of cpu: need 1001, free 1000 of 1000"},
		{"negative", Limits{}, []any{templateOf(7, func(t *v1.Template) { t.DiskBytes = -1 })}, launchOf(1, 10, 7),
			"template: disk is -1, must be 0 to"},
		{"huge", Limits{}, []any{templateOf(7, func(t *v1.Template) { t.NetBps = 1 << 62 })}, launchOf(1, 10, 7),
			"template: net is 4611686018427387904, must be 0 to"},
		{"memory of two", Limits{}, []any{templateOf(7, func(t *v1.Template) { t.MemoryBytes = 600 }), launchOf(1, 10, 7)},
			launchOf(2, 11, 7), "short of memory: need 600, free 400 of 1000"},
		{"slots", Limits{Slots: 1}, []any{templateOf(7, nil), launchOf(1, 10, 7)}, launchOf(2, 11, 7), "1 slots are live, limit 1"},
		{"busy", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7)}, launchOf(1, 11, 7), "slot 1 runs attempt 10"},
		{"again", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7)}, launchOf(1, 10, 7), ""},
		{"ended again", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7), endOf(1, 10)}, launchOf(1, 10, 7), ""},
		{"ended, released and again", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7), endOf(1, 10), &vacated{slot: 1}},
			launchOf(1, 10, 7), ""},
		{"next", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7), endOf(1, 10)}, launchOf(1, 11, 7), ""},
		{"fence", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7), endOf(1, 10)}, launchOf(1, 9, 7),
			"fence 9 is not above 10, the last of slot 1"},
		{"other job", Limits{}, []any{templateOf(7, nil), templateOf(8, nil), launchOf(1, 10, 7), endOf(1, 10)}, launchOf(1, 11, 8),
			"slot 1 belongs to job 7 stage 0"},
		{"ends", Limits{Ends: 1}, []any{templateOf(7, nil), launchOf(1, 10, 7), endOf(1, 10)}, launchOf(1, 11, 7),
			"1 ends wait to be settled, limit 1"},
		{"bytes of ends", Limits{EndBytes: 4}, []any{templateOf(7, nil), launchOf(1, 10, 7), endOf(1, 10)}, launchOf(1, 11, 7),
			"ends that wait to be settled hold"},
		{"releasing", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7), endOf(1, 10), releaseOf(1)}, launchOf(1, 11, 7),
			"slot 1 is being released"},
		{"released", Limits{}, []any{templateOf(7, nil), launchOf(1, 10, 7), &vacated{slot: 1}}, launchOf(1, 11, 7), "slot 1 was released"},
		{"stopping", Limits{}, []any{templateOf(7, nil), &drain{reason: "maintenance"}}, launchOf(1, 10, 7), "agent is stopping: maintenance"},
		{"port taken", Limits{}, []any{templateOf(7, nil), launchWith(1, 10, 7, 100, 500, 1)}, launchWith(2, 11, 7, 100, 500, 1),
			"port 100 is taken"},
		{"device taken", Limits{}, []any{templateOf(7, nil), launchWith(1, 10, 7, 100, 600, 1)}, launchWith(2, 11, 7, 101, 500, 1),
			"short of device 0: need 500 thousandths, free 400"},
		{"units taken", Limits{}, []any{templateOf(7, nil), launchWith(1, 10, 7, 100, 500, 2)}, launchWith(2, 11, 7, 101, 500, 1),
			"short of license: need 1, free 0 of 2"},
		{"extras beside", Limits{}, []any{templateOf(7, nil), launchWith(1, 10, 7, 100, 500, 1)}, launchWith(2, 11, 7, 101, 500, 1), ""},
		{"extras after a release", Limits{}, []any{templateOf(7, nil), launchWith(1, 10, 7, 100, 1000, 2), &vacated{slot: 1}},
			launchWith(2, 11, 7, 100, 1000, 2), ""},
		{"extras in use by its own slot", Limits{}, []any{templateOf(7, nil), launchWith(1, 10, 7, 100, 1000, 2), endOf(1, 10)},
			launchWith(1, 11, 7, 100, 1000, 2), ""},
		{"other extras", Limits{}, []any{templateOf(7, nil), launchWith(1, 10, 7, 100, 1000, 2), endOf(1, 10)},
			launchWith(1, 11, 7, 101, 1000, 2), "slot 1 came to life with other ports, devices or custom units"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := testBook(c.limits)
			if _, refused := b.take(c.before...); len(refused) > 0 {
				t.Fatalf("before: %v", refused)
			}
			out, refused := b.take(c.launch)
			switch {
			case c.want == "" && len(refused) > 0, c.want != "" && (len(refused) != 1 || !strings.Contains(refused[0], c.want)):
				t.Errorf("refused %q, want %q", refused, c.want)
			case c.want != "" && len(out) != 1:
				t.Errorf("a refused launch had %d consequences", len(out))
			}
		})
	}
}

// Released slots are remembered up to a limit; beyond it, slots are refused by their number.
func TestReleasedSlotsNeverComeBack(t *testing.T) {
	b := testBook(Limits{Released: 3})
	b.take(templateOf(7, nil))
	for slot := uint64(10); slot < 20; slot++ {
		if _, refused := b.take(launchOf(slot, slot+100, 7), &vacated{slot: slot}); len(refused) > 0 {
			t.Fatalf("slot %d: %v", slot, refused)
		}
	}
	if len(b.released) != 3 || b.head.GetReleasedThrough() != 16 {
		t.Fatalf("remembers %v and all through %d", b.released, b.head.GetReleasedThrough())
	}
	for slot := uint64(1); slot < 20; slot++ {
		if _, refused := b.take(launchOf(slot, slot+200, 7)); len(refused) != 1 {
			t.Errorf("slot %d came back", slot)
		}
	}
}

// Templates that no slot uses make room for new ones, oldest job first; when a session begins all of them go.
func TestUnusedTemplatesGo(t *testing.T) {
	b := testBook(Limits{Templates: 3})
	b.take(templateOf(1, nil), templateOf(2, nil), templateOf(3, nil), launchOf(1, 10, 1))
	b.take(templateOf(4, nil))
	if got := fmt.Sprint(sortedJobs(b)); got != "[1 3 4]" {
		t.Fatalf("templates of jobs %s", got)
	}
	b.take(&survey{1})
	if got := fmt.Sprint(sortedJobs(b)); got != "[1]" {
		t.Fatalf("templates of jobs %s after a new session", got)
	}
	b.take(endOf(1, 10), &vacated{slot: 1}, &survey{2})
	if len(b.templates)+b.templateBytes+len(b.uses)+len(b.jobs) != 0 || b.held != (model.Resources{}) {
		t.Fatalf("left: %d templates of %d bytes, uses %v, jobs %v, held %v", len(b.templates), b.templateBytes, b.uses, b.jobs, b.held)
	}
}

func sortedJobs(b *book) []uint64 {
	jobs := map[uint64]bool{}
	for s := range b.templates {
		jobs[uint64(s.Job)] = true
	}
	return sortedKeys(jobs)
}

// The Hello of an agent that is full to its limits still fits into one message.
func TestHelloOfAFullAgentFits(t *testing.T) {
	limits := DefaultLimits()
	b := testBook(limits)
	name := strings.Repeat("x", 63)
	var entries []ledger.Entry
	big := uint64(1) << 62
	all := model.NewHolding(&v1.NodeInfo{Custom: map[string]int64{name: 1 << 50}})
	extra := func(i int32) *v1.SlotExtra {
		x := &v1.SlotExtra{Ports: []*v1.Port{{Name: name, Number: 1000 + i}}, Custom: map[string]int64{name: 1 << 30}}
		if all.Lacks(x) != "" {
			return nil
		}
		all.Take(x)
		return x
	}
	for i := range uint64(limits.Slots) {
		entries = append(entries, ledger.Entry{Key: ledger.Key{Kind: ledger.Slot, A: big + i}, Value: &v1.LedgerSlot{
			Launch: &v1.Launch{
				Slot: big + i, Fence: big + i, JobUid: big, Stage: 999, Index: big, Attempt: 1 << 30, Extra: extra(int32(i)),
			},
			CpuMilli: 1 << 50, MemoryBytes: 1 << 50, DiskBytes: 1 << 50, NetBps: 1 << 50,
		}})
		b.soft[big+i] = &v1.AttemptState{
			Slot: big + i, Fence: big + i, JobUid: big, Stage: 999, Index: big, Attempt: 1 << 30, Phase: 2,
			StartedUnixNano: 1 << 62, ProgressMilli: 1000, Queue: name, Job: name,
		}
	}
	b.load(entries)
	b.templates[stageOf(big, 999)] = &v1.Template{JobUid: big, Stage: 999, Queue: name, Job: name}
	out, _ := b.take(&survey{1})
	size := proto.Size(&v1.FromAgent{Hello: &v1.Hello{Slots: out[0].message.(*inventory).slots}})
	if extra(3000) != nil {
		t.Error("no limit was met")
	}
	if size > 1000<<10 { // NATS takes 1024
		t.Errorf("%d bytes for %d slots", size, limits.Slots)
	}
}

// Whatever a batch changes, taking it back restores the book, sums and all; and a book read from its entries is the same
// book.
func TestS5_RollbackAndReload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, store := testBook(Limits{Released: 2, Templates: 2, Slots: 3}), ledger.Memory()
		input := rapid.Custom(func(t *rapid.T) any {
			slot, fence, job := rapid.Uint64Range(1, 5).Draw(t, "slot"), rapid.Uint64Range(1, 40).Draw(t, "fence"), rapid.Uint64Range(1, 3).Draw(t, "job")
			return []any{
				templateOf(job, nil), launchWith(slot, fence, job, int32(100+slot%3), 250, 1), releaseOf(slot), endOf(slot, fence), &vacated{slot: slot}, &survey{1},
				&order{1, &v1.Command{Kind: &v1.Command_Settled{Settled: &v1.Settled{Fences: []uint64{fence}}}}},
				&raise{&v1.ToAgent{Epoch: fence}}, &enroll{},
			}[rapid.IntRange(0, 8).Draw(t, "kind")]
		})
		for range rapid.IntRange(1, 30).Draw(t, "batches") {
			before := b.image()
			for _, in := range rapid.SliceOfN(input, 1, 5).Draw(t, "batch") {
				b.decide(in)
			}
			if rapid.Bool().Draw(t, "fails") {
				b.rollback()
				if got := b.image(); got != before {
					t.Fatalf("before\n%s\nafter\n%s", before, got)
				}
				continue
			}
			changes, _ := b.commit()
			b.settle()
			store.Write(changes, func(err error) {
				if err != nil {
					t.Fatal(err)
				}
			})
		}
		entries, err := store.Load()
		if err != nil {
			t.Fatal(err)
		}
		again := testBook(Limits{Released: 2, Templates: 2, Slots: 3})
		again.load(entries)
		if b.image() != again.image() {
			t.Fatalf("is\n%s\nread again\n%s", b.image(), again.image())
		}
		if len(b.slots) > 3 || len(b.templates) > 2 || len(b.released) > 2 {
			t.Fatalf("past its limits: %s", b.image())
		}
	})
}

// image is all that a book holds, as text.
func (b *book) image() string {
	var s strings.Builder
	fmt.Fprintln(&s, b.head.GetIncarnation(), b.head.GetEpoch(), b.head.GetReleasedThrough(), b.released)
	fmt.Fprintln(&s, b.held, b.extras.Held(), b.uses, b.jobs, b.endBytes, b.templateBytes, sortedJobs(b))
	for _, id := range sortedKeys(b.slots) {
		r := b.slots[id]
		fmt.Fprintln(&s, "slot", id, r.GetLaunch().GetFence(), r.GetLaunch().GetJobUid(), r.GetEnded(), r.GetReleasing(), r.GetCpuMilli())
	}
	for _, f := range sortedKeys(b.ends) {
		fmt.Fprintln(&s, "end", f, b.ends[f].GetSlot(), b.ends[f].GetPhase())
	}
	return s.String()
}
