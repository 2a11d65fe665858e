package chaos

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/chaos/audit"
	"github.com/troupe-sched/troupe/chaos/load"
	"github.com/troupe-sched/troupe/chaos/scenario"
)

var noon = time.Unix(1_700_000_000, 0)

// row is a row of samples, one a second.
func row(n int, value func(i int) int64) (samples []sample) {
	for i := range n {
		samples = append(samples, sample{noon.Add(time.Duration(i) * time.Second), value(i)})
	}
	return samples
}

func TestSlopesAreThoseOfTheRow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	noise := func() int64 { return r.Int64N(2001) - 1000 }
	for name, test := range map[string]struct {
		samples  []sample
		from, to int64
	}{
		"flat":             {row(3600, func(int) int64 { return 50_000 }), 0, 0},
		"flat with noise":  {row(3600, func(int) int64 { return 50_000 + noise() }), -300, 300},
		"one an hour each": {row(3600, func(i int) int64 { return int64(i) }), 3600, 3600},
		"with restarts": {row(3600, func(i int) int64 {
			if i%600 < 20 { // small just after each
				return 1000
			}
			return 50_000 + noise()
		}), -300, 300},
		"growth under noise": {row(3600, func(i int) int64 { return int64(i)*10 + noise() }), 35_000, 37_000},
		"one sample":         {row(1, func(int) int64 { return 5 }), 0, 0},
		"none":               {nil, 0, 0},
	} {
		if got := slope(test.samples); got < test.from || got > test.to {
			t.Errorf("%s: %d an hour, want %d to %d", name, got, test.from, test.to)
		}
	}
}

func TestThinKeepsFirstAndOrder(t *testing.T) {
	list := make([]int, 1000)
	for i := range list {
		list[i] = i
	}
	kept := thin(list, 300)
	if len(kept) != 300 || kept[0] != 0 || kept[299] < 990 {
		t.Errorf("%d are kept, from %d to %d", len(kept), kept[0], kept[len(kept)-1])
	}
	if half := everyOther(list); len(half) != 500 || half[499] != 998 {
		t.Errorf("every other one: %d, the last %d", len(half), half[len(half)-1])
	}
}

func TestFiguresAreWhatHappened(t *testing.T) {
	s, err := scenario.Parse("x.yaml", []byte("load: {every: 1s}\nduration: 10s\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := &run{o: Options{Scenario: s}, start: noon, watch: newWatch(s)}
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	for _, ms := range []int{-500, 100, 200, 4200, 4300, 9900} {
		r.evidence.Attempts = append(r.evidence.Attempts, load.Attempt{UID: uint64(ms + 1000), Begun: at(ms)})
	}
	if got := r.noStart(r.evidence.Attempts); got != 5600 {
		t.Errorf("the longest time without a start is %d ms", got)
	}
	r.watch.seen = []audit.Seen{{At: at(0)}, {At: at(250), Err: "x"}, {At: at(500), Err: "x"}, {At: at(1250)}, {At: at(2000), Err: "x"}, {At: at(2250), Master: "m", Epoch: 2}}
	made := r.report()
	if made.Figures.SilentMS != 1000 || made.Figures.Attempts != 6 || made.Figures.Restarted != 0 {
		t.Errorf("%+v", made.Figures)
	}
	var spans []string
	for _, s := range made.Leaders {
		spans = append(spans, s.Text)
	}
	if len(spans) != 5 || spans[1] != "no answer" || made.Leaders[1].FromMS != 250 || made.Leaders[1].ToMS != 1250 || spans[4] != "m epoch 2" {
		t.Errorf("%+v", made.Leaders)
	}
}
