package cell

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-sched/troupe/chaos/link"
	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/chaos/scenario"
	"github.com/troupe-sched/troupe/cluster/client"
	"github.com/troupe-sched/troupe/cluster/natsd"
)

const (
	// closeWithin is how long a process may take to end in order.
	closeWithin = 20 * time.Second
	// goneWithin is how long what agents leave behind may take to end by itself.
	goneWithin = 10 * time.Second
)

// ErrUnable says that this machine lacks what a cell of that shape needs. It is wrapped; test with errors.Is.
var ErrUnable = errors.New("this machine cannot do that")

// Options of a Cell.
type Options struct {
	Shape scenario.Cell
	// Dir is the folder of the cell; it must be there. All that the cell keeps is below.
	Dir string
	// Program is the command that runs Troupe; more arguments are added. Old is another version of it, if there is one.
	Program, Old []string
	// Env is set for every process besides PATH, HOME, TMPDIR and LANG.
	Env map[string]string
	// Tell hears what happens to processes; it must not block.
	Tell func(proc.Event)
}

// Part is one process of the cell with all that faults can reach of it.
type Part struct {
	// ID is a role and a number: "master-1".
	ID, Role string
	Proc     *proc.Process
	// Data is the folder of what it keeps.
	Data string
	// Clock is the file that says by how much its clock is off.
	Clock string
	// Disk holds Data, Host is its place in the network; nil if it has none of its own.
	Disk    Disk
	Host    *link.Host
	proxies []*link.Proxy
	args    []string
}

// Disk is a disk that fails on demand.
type Disk interface {
	// Full takes all room away, or gives it back.
	Full(on bool) error
	// Slow makes every sync take so long; 0 ends that.
	Slow(by time.Duration) error
	// Cut forgets all that was not synced, as a loss of power does. Its process must be dead.
	Cut() error
	// Close takes it away.
	Close() error
}

// Cell is the cell.
type Cell struct {
	// Name is drawn, so that what runs of this cell is known among all that runs on the machine.
	Name string
	// Dir is its folder, Effects the folder in which attempts note that they have begun and ended.
	Dir, Effects string

	opts    Options
	parts   []*Part
	network *link.Network
	// servers are the addresses of the NATS servers as they are, in order.
	servers []string
	// taken are the addresses that were given to parts.
	taken []string
	// doubles counts second agents.
	doubles atomic.Int64
	conn    *nats.Conn
	client  *client.Client
	leash   *os.File
}

// Open starts a cell and returns when all of it is up. Close it in any case that gives no error.
func Open(ctx context.Context, o Options) (opened *Cell, err error) {
	c := &Cell{Name: "chaos-" + strings.ToLower(rand.Text()[:8]), Dir: o.Dir, Effects: filepath.Join(o.Dir, "effects"), opts: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close(context.WithoutCancel(ctx)))
		}
	}()
	for _, dir := range []string{c.Effects, filepath.Join(c.Dir, "logs"), filepath.Join(c.Dir, "home"), filepath.Join(c.Dir, "clock")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := c.openLeash(); err != nil {
		return nil, err
	}
	if o.Shape.Network == "netns" {
		if c.network, err = link.NewNetwork(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnable, err)
		}
	}
	if err := c.build(); err != nil {
		return nil, err
	}
	for _, role := range []string{"nats", "master", "node"} {
		if err := c.up(ctx, role); err != nil {
			return nil, err
		}
	}
	return c, c.connect(ctx)
}

// up starts all parts of a role and waits until they are up.
func (c *Cell) up(ctx context.Context, role string) error {
	for _, p := range c.Role(role) {
		if err := p.Proc.Start(); err != nil {
			return err
		}
	}
	for _, p := range c.Role(role) {
		if _, err := p.Proc.Up(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, Tail(p.Log(c), 10))
		}
	}
	return nil
}

// Log is the file with what a part writes to its standard error.
func (p *Part) Log(c *Cell) string { return filepath.Join(c.Dir, "logs", p.ID+".log") }

// Tail is the last lines of a file.
func Tail(file string, lines int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// openLeash makes the pipe that attempts hold on to: it is open for as long as this process lives, and what waits on it
// ends then, however this process ended.
func (c *Cell) openLeash() (err error) {
	if err := syscall.Mkfifo(c.Leash(), 0o600); err != nil {
		return fmt.Errorf("leash: %w", err)
	}
	c.leash, err = os.OpenFile(c.Leash(), os.O_RDWR, 0)
	return err
}

// Leash is the path of a pipe from which nothing ever comes, and that ends with the harness: a program that reads from it
// runs until then.
func (c *Cell) Leash() string { return filepath.Join(c.Dir, "leash") }

// connect opens the harness's own way to the cell: to all NATS servers, past the links that faults cut.
func (c *Cell) connect(context.Context) (err error) {
	c.conn, err = c.Dial("chaos")
	if err != nil {
		return err
	}
	c.client, err = client.New(client.Config{Conn: c.conn, Cell: c.Name})
	return err
}

// Dial opens a connection to the NATS servers that no fault of a link reaches.
func (c *Cell) Dial(name string, more ...nats.Option) (*nats.Conn, error) {
	if c.network != nil {
		more = append(more, nats.SetCustomDialer(dialer{c.network}))
	}
	return natsd.Dial(urls(c.servers), name, slog.New(slog.DiscardHandler), more...)
}

// dialer reaches into the network of namespaces.
type dialer struct{ network *link.Network }

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.network.DialTimeout(network, address, 3*time.Second)
}

// Reach opens a connection to any address of the cell, such as a port for metrics.
func (c *Cell) Reach(ctx context.Context, network, address string) (net.Conn, error) {
	if c.network != nil {
		return c.network.Dial(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Client asks the cell.
func (c *Cell) Client() *client.Client { return c.client }

// Conn is the connection of the client.
func (c *Cell) Conn() *nats.Conn { return c.conn }

// Parts are all parts.
func (c *Cell) Parts() []*Part { return c.parts }

// Role lists the parts of a role, in order.
func (c *Cell) Role(role string) []*Part {
	return slices.DeleteFunc(slices.Clone(c.parts), func(p *Part) bool { return p.Role != role })
}

// Part is the one of that id, nil if there is none.
func (c *Cell) Part(id string) *Part {
	for _, p := range c.parts {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// End ends all processes of a role in order, and reports those that did not.
func (c *Cell) End(ctx context.Context, role string) error {
	parts := c.Role(role)
	errs := make(chan error, len(parts))
	for _, p := range parts {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, closeWithin)
			defer cancel()
			running := p.Proc.PID() != 0
			code, err := p.Proc.End(ctx, syscall.SIGTERM)
			if err == nil && running && code != 0 {
				err = fmt.Errorf("%s ends with exit code %d after SIGTERM", p.ID, code)
			}
			errs <- err
		}()
	}
	var all []error
	for range parts {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// Left lists what still runs below the folder of the cell, once that had its time to end.
func (c *Cell) Left(ctx context.Context) []int {
	end := time.NewTimer(goneWithin)
	defer end.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		left := proc.Below(c.Dir)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-end.C:
			return left
		case <-ctx.Done():
			return left
		}
	}
}

// Close ends all that is left of the cell, by force what does not end otherwise, and takes links and disks away. The
// folder stays.
func (c *Cell) Close(ctx context.Context) error {
	if c.conn != nil {
		c.conn.Close()
	}
	var errs []error
	for _, p := range c.parts {
		if p.Proc != nil {
			_, err := p.Proc.End(ctx, syscall.SIGKILL)
			errs = append(errs, err)
		}
	}
	if c.leash != nil {
		c.leash.Close()
	}
	proc.KillBelow(c.Dir)
	c.Left(ctx)
	for _, p := range c.parts {
		for _, x := range p.proxies {
			x.Close()
		}
		if p.Disk != nil {
			errs = append(errs, p.Disk.Close())
		}
	}
	if c.network != nil {
		c.network.Close()
	}
	return errors.Join(errs...)
}

func environment(dir string, more map[string]string) []string {
	env := map[string]string{"PATH": os.Getenv("PATH"), "HOME": filepath.Join(dir, "home"), "TMPDIR": filepath.Join(dir, "home"), "LANG": "C.UTF-8"}
	maps.Copy(env, more)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

// urls is a list of addresses as NATS wants it.
func urls(addresses []string) string { return "nats://" + strings.Join(addresses, ",nats://") }
