package compose

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

func TestB31_AMasterTellsWhatItKnowsOfTheOthers(t *testing.T) {
	m := newMasterMetrics("c", "b", func() []*v1.MasterInfo {
		return []*v1.MasterInfo{
			{Id: "a", Role: "leader", Epoch: 4, Seq: 90}, {Id: "b", Role: "follower", Epoch: 4, Seq: 88, Lag: 2}, {Id: "x", Role: "follower"},
		}
	})
	w := openWeb(t, WebConfig{Listen: "127.0.0.1:0", Log: discard, Metrics: []prometheus.Collector{m}})
	code, body := get(t, w.URL()+"/metrics")
	for _, want := range []string{
		`troupe_master_leads{cell="c"} 0`, `troupe_master_epoch{cell="c"} 4`, `troupe_master_record{cell="c"} 88`, `troupe_master_lag_records{cell="c"} 2`,
		`troupe_master_heard{cell="c",role="follower"} 2`, `troupe_master_heard{cell="c",role="leader"} 1`,
	} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d: %s is missing", code, want)
		}
	}
}
