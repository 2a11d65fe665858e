package bench

import (
	"testing"
	"time"
)

func TestF35_F36_TheIncrementalProtocolSaysLess(t *testing.T) {
	p, err := RunProtocol(t.Context(), ProtocolOptions{Instances: 3000, Nodes: 5, Heartbeat: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(p.Runs); i += 2 {
		if inc, full := p.Runs[i], p.Runs[i+1]; inc.All >= full.All || inc.Granted != full.Granted || inc.Granted == 0 {
			t.Errorf("%+v against %+v", inc, full)
		}
	}
}
