package trace

import (
	"bytes"
	"context"
	"reflect"
	"testing"
)

// made is a made-up workload.
func made(t testing.TB, o MakeOptions) *Workload {
	t.Helper()
	var nodes, work bytes.Buffer
	if err := Make(o, &nodes, &work); err != nil {
		t.Fatal(err)
	}
	w, err := ReadPlain(&nodes, &work)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func play(t testing.TB, w *Workload, o Options) *Report {
	t.Helper()
	r, err := Play(context.Background(), w, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestS27_AMadeUpWorkloadIsPlayedToItsEnd(t *testing.T) {
	r := play(t, made(t, MakeOptions{Nodes: 10, Jobs: 300, Seed: 1}), Options{Seed: 1})
	if r.All.Jobs != 300 || r.All.Begun != r.All.Instances || r.All.Waiting != 0 {
		t.Errorf("%+v", r.All)
	}
	if r.All.Ended == 0 || r.All.Ended == r.All.Instances {
		t.Errorf("%d of %d have ended, with services among them", r.All.Ended, r.All.Instances)
	}
	sum := 0
	for _, q := range r.Queues {
		sum += q.Jobs
	}
	if len(r.Queues) != 4 || sum != 300 {
		t.Errorf("queues %+v", r.Queues)
	}
}

func TestS27_OneSeedIsOneReport(t *testing.T) {
	w := made(t, MakeOptions{Nodes: 5, Jobs: 100, Seed: 2})
	a, b := play(t, w, Options{Seed: 7}), play(t, w, Options{Seed: 7})
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}
