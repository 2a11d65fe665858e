package compose

import (
	"context"

	"github.com/troupe-sched/troupe/actors"
)

// Dev opens a lasting cell on this one machine: NATS server, master and agent in one process.
func Dev(ctx context.Context, e Env) (*Process, error) {
	c := e.Config
	return openMaster(ctx, masterSpec{
		Env: e, role: "dev", dir: c.Master.Dir, own: true, listen: c.Master.Listen, store: c.Master.Store, remote: true,
		agent: agentOptions(e, c.Node.Dir),
	})
}

// Master opens a master: over a NATS server of its own, or over those that the configuration names.
func Master(ctx context.Context, e Env) (*Process, error) {
	c := e.Config
	return openMaster(ctx, masterSpec{
		Env: e, role: "master", dir: c.Master.Dir, own: c.NATS.URL == "", listen: c.Master.Listen, store: c.Master.Store, remote: true,
		several: c.Master.Store == "jetstream",
	})
}

// agentOptions are those of an agent in the process of the master.
func agentOptions(e Env, dir string) *actors.AgentOptions {
	n := e.Config.Node
	offer := n.Offer()
	return &actors.AgentOptions{
		NodeID: n.ID, Dir: dir, Shim: e.Shim, Attributes: n.Attributes,
		CPUMilli: n.CPU, MemoryBytes: n.Memory, DiskBytes: n.Disk, NetBps: n.Net,
		Pool: offer.Pool, Taints: offer.Taints, Devices: offer.Devices, Custom: offer.Custom,
		PortFrom: offer.PortFrom, PortTo: offer.PortTo, Packages: offer.Packages,
	}
}
