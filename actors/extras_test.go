package actors_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/troupe-sched/troupe/actors"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Ports, shares of devices and custom units are there once: functions that run at the same time never hold the same.
func TestB54_X7_PortsDevicesAndUnitsAreHandedOutOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var mu sync.Mutex
	ports, milli, licenses, most := map[int32]bool{}, map[int32]int32{}, int64(0), 0
	var wrong []string
	book := func(c *actors.Call, sign int32) {
		mu.Lock()
		defer mu.Unlock()
		for name, p := range c.Ports {
			if sign > 0 && (ports[p] || p < 20_000 || p > 20_003) {
				wrong = append(wrong, fmt.Sprintf("port %s is %d, of %v", name, p, ports))
			}
			ports[p] = sign > 0
		}
		for _, d := range c.Devices {
			if milli[d.Index] += sign * d.Milli; milli[d.Index] > 1000 || d.Kind != "gpu" || d.Model != "b" {
				wrong = append(wrong, fmt.Sprintf("device %v, of %v", d, milli))
			}
		}
		if licenses += int64(sign) * c.Custom["license"]; licenses > 3 || len(c.Ports) != 1 || len(c.Devices) != 1 {
			wrong = append(wrong, fmt.Sprintf("%d licenses, ports %v, devices %v", licenses, c.Ports, c.Devices))
		}
		most = max(most, int(licenses))
	}
	cell, err := actors.Open(ctx, actors.Options{Agent: &actors.AgentOptions{
		Devices: []*v1.Device{{Kind: "gpu", Model: "a"}, {Kind: "gpu", Model: "b"}, {Kind: "gpu", Model: "b"}},
		Custom:  map[string]int64{"license": 3}, PortFrom: 20_000, PortTo: 20_003,
		Funcs: map[string]actors.Func{"work": func(_ context.Context, c *actors.Call) error {
			book(c, +1)
			defer book(c, -1)
			return c.SetResult(fmt.Append(nil, c.Devices[0].Index))
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer cell.Close(ctx)
	request := funcJob("work", "work", 200)
	job := request.Job
	job.Stages[0].Ports = []*v1.Port{{Name: "web"}}
	job.Stages[0].Devices = &v1.Devices{Share: "500m", Models: []string{"b"}}
	job.Stages[0].Resources = &v1.Resources{Cpu: "1m", Memory: "1Mi", Custom: map[string]int64{"license": 1}}
	if _, err := cell.Submit(ctx, request); err != nil {
		t.Fatal(err)
	}
	if s, err := cell.Wait(ctx, &v1.JobRef{Name: "work"}); err != nil || s.GetCounts().GetDone() != 200 {
		t.Fatalf("%v, %v", s, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(wrong) > 0 || most == 0 {
		t.Fatalf("%d at once; %v", most, wrong)
	}
}
