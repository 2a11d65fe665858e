package cell

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupe-sched/troupe/chaos/link"
	"github.com/troupe-sched/troupe/chaos/proc"
)

// ClockFile is the variable that names the file with the offset of a process's clock.
const ClockFile = "TROUPE_CLOCK_FILE"

const (
	clientPort = 4222
	routePort  = 6222
	httpPort   = 8222

	// portFrom to portTo are drawn from where all parts share one address: below those that the system gives to
	// connections, or one of them could have a server's port while that is down.
	portFrom  = 10_000
	portTo    = 20_000
	portTries = 1000
)

// build makes all parts, and starts none.
func (c *Cell) build() error {
	shape := c.opts.Shape
	masters := make([]*Part, shape.Masters)
	servers := make([]*Part, shape.NATS)
	for i := range servers {
		servers[i] = c.part("nats", i)
	}
	for i := range masters {
		masters[i] = c.part("master", i)
	}
	for i := range shape.Nodes {
		c.part("node", i)
	}
	for _, p := range c.parts {
		if err := c.place(p); err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
	}
	listeners := servers
	if len(servers) == 0 {
		listeners = masters
	}
	var routes []string
	for _, p := range listeners {
		at, err := c.address(p, clientPort)
		if err != nil {
			return err
		}
		c.servers = append(c.servers, at)
		if len(listeners) > 1 {
			if at, err = c.address(p, routePort); err != nil {
				return err
			}
			routes = append(routes, "nats://"+at)
		}
	}
	for i, p := range servers {
		c.serverArgs(p, i, routes)
	}
	for i, p := range masters {
		if err := c.masterArgs(p, i, routes); err != nil {
			return err
		}
	}
	for _, p := range c.Role("node") {
		if err := c.nodeArgs(p); err != nil {
			return err
		}
	}
	for _, p := range c.parts {
		c.process(p)
	}
	return nil
}

func (c *Cell) part(role string, i int) *Part {
	p := &Part{ID: fmt.Sprintf("%s-%d", role, i+1), Role: role}
	p.Data = filepath.Join(c.Dir, p.ID)
	p.Clock = filepath.Join(c.Dir, "clock", p.ID)
	c.parts = append(c.parts, p)
	return p
}

// place gives a part its folder or disk, and its host.
func (c *Cell) place(p *Part) (err error) {
	if slices.Contains(c.opts.Shape.Disks, p.Role) {
		if p.Disk, err = openDisk(p.kept()); err != nil {
			return err
		}
	} else if err := os.MkdirAll(p.Data, 0o700); err != nil {
		return err
	}
	if c.network != nil {
		p.Host, err = c.network.NewHost()
	}
	return err
}

// kept is the folder of a part that is on its disk, if it has one: of an agent it is the ledger, because its slots have
// sockets in their folders, which are no data.
func (p *Part) kept() string {
	if p.Role == "node" {
		return filepath.Join(p.Data, "ledger")
	}
	return p.Data
}

// address of a port of a part: on its own host the usual number, else a free one of this machine, which stays the same
// over all lives of the part.
func (c *Cell) address(p *Part, port int) (string, error) {
	if p.Host != nil {
		return fmt.Sprintf("%s:%d", p.Host.IP(), port), nil
	}
	for range portTries {
		at := fmt.Sprintf("127.0.0.1:%d", portFrom+rand.IntN(portTo-portFrom))
		l, err := net.Listen("tcp", at)
		if err != nil || slices.Contains(c.taken, at) {
			continue // another's, or one that is ours and not in use yet
		}
		c.taken = append(c.taken, at)
		return at, l.Close()
	}
	return "", fmt.Errorf("no port from %d to %d is free", portFrom, portTo)
}

// ways are the URLs by which a part reaches the NATS servers: through proxies of its own where there is no network of
// namespaces.
func (c *Cell) ways(p *Part) (string, error) {
	if c.network != nil {
		return urls(c.servers), nil
	}
	var at []string
	for _, server := range c.servers {
		proxy, err := link.NewProxy(server, nil)
		if err != nil {
			return "", err
		}
		p.proxies = append(p.proxies, proxy)
		at = append(at, proxy.Addr())
	}
	return urls(at), nil
}

// serverArgs are those of a NATS server of its own.
func (c *Cell) serverArgs(p *Part, i int, routes []string) {
	p.args = []string{"chaos", "nats", "--dir", p.Data, "--name", p.ID, "--listen", c.servers[i], "--json"}
	for _, r := range routes {
		p.args = append(p.args, "--route", r)
	}
	if len(routes) > 0 {
		p.args = append(p.args, "--cluster-listen", routes[i][len("nats://"):])
	}
}

func (c *Cell) masterArgs(p *Part, i int, routes []string) error {
	web, err := c.web(p)
	if err != nil {
		return err
	}
	p.args = []string{"master", "--cell", c.Name, "--id", p.ID, "--dir", p.Data, "--http", web, "--json"}
	if servers := c.opts.Shape.NATS; servers > 0 {
		ways, err := c.ways(p)
		if err != nil {
			return err
		}
		p.args = append(p.args, "--nats", ways, "--store", "jetstream", "--replicas", fmt.Sprint(servers))
	} else {
		p.args = append(p.args, "--nats-listen", c.servers[i])
	}
	if c.opts.Shape.NATS == 0 && len(routes) > 0 {
		peers := make([]string, len(routes))
		for j, route := range routes {
			peers[j] = strings.TrimPrefix(route, "nats://")
		}
		p.args = append(p.args, "--peers", strings.Join(peers, ","), "--cluster-listen", peers[i])
	}
	p.args = append(p.args, c.opts.Shape.Flags["master"]...)
	return nil
}

func (c *Cell) nodeArgs(p *Part) error {
	web, err := c.web(p)
	if err != nil {
		return err
	}
	ways, err := c.ways(p)
	if err != nil {
		return err
	}
	p.args = append([]string{
		"node", "--cell", c.Name, "--dir", p.Data, "--id", p.ID, "--nats", ways, "--http", web, "--json",
		"--cpu", fmt.Sprint(c.opts.Shape.CPU), "--memory", "64Gi", "--disk", "64Gi",
	}, c.opts.Shape.Flags["node"]...)
	return nil
}

// web is where a part shows metrics and health.
func (c *Cell) web(p *Part) (string, error) { return c.address(p, httpPort) }

// process makes the process of a part from its arguments.
func (c *Cell) process(p *Part) {
	env := maps.Clone(c.opts.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, c.opts.Shape.Env)
	env[ClockFile] = p.Clock
	spec := proc.Spec{ID: p.ID, Argv: slices.Concat(c.opts.Program, p.args), Env: environment(c.Dir, env), Log: p.Log(c)}
	if p.Host != nil {
		spec.Enter = p.Host.Enter
	}
	p.Proc = proc.New(spec, c.opts.Tell)
}

// Double makes a second process of a node, with its id and its links, and a folder of its own, new each time. The caller
// ends it, and what it has started below that folder.
func (c *Cell) Double(p *Part) (double *proc.Process, dir string) {
	c.doubles.Add(1)
	id := fmt.Sprintf("%s-double-%d", p.ID, c.doubles.Load())
	dir = filepath.Join(c.Dir, id)
	args := slices.Clone(p.args)
	for i, a := range args {
		switch a {
		case p.Data:
			args[i] = dir
		case "--http":
			args[i+1] = "127.0.0.1:0"
		}
	}
	spec := proc.Spec{
		ID: id, Argv: slices.Concat(c.opts.Program, args), Log: filepath.Join(c.Dir, "logs", id+".log"),
		Env: environment(c.Dir, c.opts.Env),
	}
	if p.Host != nil {
		spec.Enter = p.Host.Enter
	}
	return proc.New(spec, c.opts.Tell), dir
}

// Swap makes a part run the other version from its next start on, or the first one again.
func (c *Cell) Swap(p *Part, old bool) error {
	program := c.opts.Program
	if old {
		if program = c.opts.Old; len(program) == 0 {
			return fmt.Errorf("there is no other version; name one by --troupe-old")
		}
	}
	p.Proc.SetProgram(slices.Concat(program, p.args))
	return nil
}

// Link changes what the proxies of a part do.
func (p *Part) Link(s link.State) error {
	if len(p.proxies) == 0 {
		return fmt.Errorf("there is no proxy before %s", p.ID)
	}
	for _, x := range p.proxies {
		x.Set(s)
	}
	return nil
}

// Reset breaks the connections of a part and tells how many.
func (p *Part) Reset() int {
	n := 0
	for _, x := range p.proxies {
		n += x.Reset()
	}
	return n
}
