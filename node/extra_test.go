package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-sched/troupe/node"
	"github.com/troupe-sched/troupe/node/driver"
	"github.com/troupe-sched/troupe/node/driver/gofunc"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// rich are options of a machine with ports, devices and custom units.
func rich(m *master, dir string) node.Options {
	o := options(m, dir)
	o.Pool, o.Taints = "gpus", []*v1.Taint{{Key: "gpu", Effect: "no_place"}}
	o.Devices = []*v1.Device{{Kind: "fpga", Model: "f"}, {Kind: "gpu", Model: "a"}, {Kind: "gpu", Model: "a"}}
	o.Custom, o.PortFrom, o.PortTo = map[string]int64{"license": 2}, 20_000, 20_009
	o.Packages = []string{"python", "cuda", "python"}
	return o
}

// with gives a launch a port, device 2 and custom units.
func with(c *v1.Command, port, milli int32) *v1.Command {
	c.GetLaunch().Extra = &v1.SlotExtra{
		Ports:   []*v1.Port{{Name: "web-ui", Number: port}, {Name: "debug", Number: port + 1}},
		Devices: []*v1.DeviceShare{{Index: 2, Milli: milli}}, Custom: map[string]int64{"license": 1},
	}
	return c
}

func TestB1_ANodeSaysWhatItHas(t *testing.T) {
	t.Parallel()
	m := newMaster(1)
	info := open(t, rich(m, t.TempDir())).Info()
	if info.GetAttributes()["pool"] != "gpus" || len(info.GetTaints()) != 1 || len(info.GetDevices()) != 3 ||
		info.GetCustom()["license"] != 2 || info.GetPortFrom() != 20_000 || info.GetPortTo() != 20_009 ||
		!slices.Equal(info.GetPackages(), []string{"cuda", "python"}) {
		t.Fatal(info)
	}
}

// A process is told of its ports, devices and custom units; the agent refuses what is taken, also after a restart.
func TestB54_PortsDevicesAndCustomUnitsOfAProcess(t *testing.T) {
	t.Parallel()
	dir, scratch := t.TempDir(), t.TempDir()
	m := newMaster(1)
	n := open(t, rich(m, dir))
	spec := waiting(scratch)
	spec.Command[2] += `; env | grep -E '^(TROUPE_(PORT|DEVICE|CUSTOM)|CUDA|NVIDIA)' | sort >$TROUPE_RESULT`
	m.want(template(7, spec), with(launch(1, 10, 7, 0), 20_000, 250), with(launch(2, 11, 7, 1), 20_001, 250))
	refused := func(m *master, fence uint64) (why string) {
		m.until(t, "a launch is refused", func() bool {
			for _, c := range m.told {
				if c.GetRefused().GetFence() == fence {
					why = c.GetRefused().GetReason()
				}
			}
			return why != ""
		})
		return why
	}
	if why := refused(m, 11); why != "port 20001 is taken" {
		t.Fatal(why)
	}
	m.until(t, "it runs", func() bool { return m.state(10) != nil })
	closeNode(t, n)

	m = newMaster(2)
	open(t, rich(m, dir))
	m.until(t, "a session begins", func() bool { return m.open })
	if x := m.hello.GetSlots()[0].GetExtra(); x.GetPorts()[0].GetNumber() != 20_000 || x.GetDevices()[0].GetMilli() != 250 {
		t.Fatal(x)
	}
	m.want(template(7, spec), with(launch(3, 12, 7, 2), 20_004, 800))
	if why := refused(m, 12); why != "short of device 2: need 800 thousandths, free 750" {
		t.Fatal(why)
	}
	letGo(t, scratch)
	want := strings.Join([]string{
		"CUDA_VISIBLE_DEVICES=1", "NVIDIA_VISIBLE_DEVICES=1", "TROUPE_CUSTOM_LICENSE=1", "TROUPE_DEVICES=2", "TROUPE_DEVICE_SHARE=250",
		"TROUPE_PORT_DEBUG=20001", "TROUPE_PORT_WEB_UI=20000", "",
	}, "\n")
	if end := m.ends(t, 10); string(end.GetResult()) != want {
		t.Fatalf("%v: %s", end, end.GetResult())
	}
	m.want(release(1))
	m.until(t, "the slot is released", func() bool { return m.told[len(m.told)-1].GetReleased().GetSlot() == 1 })
	m.want(with(launch(4, 13, 7, 3), 20_000, 1000))
	if end := m.ends(t, 13); !strings.Contains(string(end.GetResult()), "TROUPE_DEVICE_SHARE=1000") {
		t.Fatal(end)
	}
}

func TestX7_B54_AFunctionKnowsWhatItsSlotHas(t *testing.T) {
	t.Parallel()
	funcs := gofunc.NewRegistry()
	err := funcs.Register("tell", func(_ context.Context, c *gofunc.Call) error {
		return c.SetResult(fmt.Appendf(nil, "%v %v %v", c.Ports, c.Devices, c.Custom))
	})
	if err != nil {
		t.Fatal(err)
	}
	m := newMaster(1)
	o := rich(m, "")
	o.Funcs = funcs
	open(t, o)
	m.want(template(7, &v1.StageSpec{Name: "s", Driver: "func", Func: "tell"}), with(launch(1, 10, 7, 0), 20_000, 500), launch(2, 11, 7, 1))
	want := fmt.Sprint(map[string]int32{"web-ui": 20_000, "debug": 20_001}, " ", []driver.Device{{Kind: "gpu", Model: "a", Index: 2, Ordinal: 1, Milli: 500}},
		" ", map[string]int64{"license": 1})
	if end := m.ends(t, 10); string(end.GetResult()) != want {
		t.Fatalf("%s, not %s", end.GetResult(), want)
	}
	if end := m.ends(t, 11); string(end.GetResult()) != "map[] [] map[]" {
		t.Fatalf("%s", end.GetResult())
	}
}
