package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Network is a network of its own: a switch, and hosts with one cable each, all in network namespaces without names. The
// kernel removes them when the last process in them is gone, however it ended, so nothing is left behind.
type Network struct {
	core  netns.NsHandle
	wires *netlink.Handle
	hosts []*Host
}

// Host is one place of the network.
type Host struct {
	network *Network
	ns      netns.NsHandle
	within  *netlink.Handle
	ip      net.IP
	port    string // of the switch
}

const (
	switchName = "switch"
	cableName  = "eth0"
	// hostsMax bounds the hosts of a network.
	hostsMax = 200
)

var whole = net.CIDRMask(24, 32)

// address of a place in the network; the switch has 254.
func address(n int) net.IP { return net.IPv4(10, 99, 0, byte(n)).To4() }

// NewNetwork makes a network without hosts. It needs the rights of root.
func NewNetwork() (*Network, error) {
	n := &Network{core: netns.None()}
	err := n.open()
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("network of namespaces: %w (it needs the rights of root, CAP_SYS_ADMIN and CAP_NET_ADMIN)", err)
	}
	return n, nil
}

func (n *Network) open() (err error) {
	if n.core, err = newNamespace(); err != nil {
		return err
	}
	if n.wires, err = netlink.NewHandleAt(n.core); err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: switchName}}
	if err := n.wires.LinkAdd(bridge); err != nil {
		return err
	}
	if err := n.wires.AddrAdd(bridge, &netlink.Addr{IPNet: &net.IPNet{IP: address(254), Mask: whole}}); err != nil {
		return err
	}
	return n.wires.LinkSetUp(bridge)
}

// newNamespace makes a network namespace and comes back.
func newNamespace() (ns netns.NsHandle, err error) {
	err = onThread(func() error {
		ns, err = netns.New() // the thread is in it now
		return err
	})
	return ns, err
}

// onThread runs fn on a thread that it may move to another namespace, and moves the thread back.
func onThread(fn func() error) error {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	err = fn()
	if back := netns.Set(home); back != nil {
		return errors.Join(err, back) // still locked: the runtime does not use this thread again
	}
	runtime.UnlockOSThread()
	return err
}

// NewHost adds a host.
func (n *Network) NewHost() (*Host, error) {
	if len(n.hosts) == hostsMax {
		return nil, fmt.Errorf("a network has %d hosts at most", hostsMax)
	}
	number := len(n.hosts) + 1
	h := &Host{network: n, ip: address(number), port: fmt.Sprintf("port%d", number), ns: netns.None()}
	if err := h.open(); err != nil {
		h.close()
		return nil, fmt.Errorf("host %d of the network: %w", number, err)
	}
	n.hosts = append(n.hosts, h)
	return h, nil
}

func (h *Host) open() (err error) {
	n := h.network
	if h.ns, err = newNamespace(); err != nil {
		return err
	}
	if h.within, err = netlink.NewHandleAt(h.ns); err != nil {
		return err
	}
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: h.port}, PeerName: cableName, PeerNamespace: netlink.NsFd(int(h.ns))}
	if err := n.wires.LinkAdd(pair); err != nil {
		return err
	}
	port, err := n.wires.LinkByName(h.port)
	if err != nil {
		return err
	}
	bridge, err := n.wires.LinkByName(switchName)
	if err != nil {
		return err
	}
	if err := errors.Join(n.wires.LinkSetMaster(port, bridge), n.wires.LinkSetUp(port)); err != nil {
		return err
	}
	cable, err := h.within.LinkByName(cableName)
	if err != nil {
		return err
	}
	own, err := h.within.LinkByName("lo")
	if err != nil {
		return err
	}
	return errors.Join(
		h.within.AddrAdd(cable, &netlink.Addr{IPNet: &net.IPNet{IP: h.ip, Mask: whole}}),
		h.within.LinkSetUp(own), h.within.LinkSetUp(cable))
}

// IP is its address.
func (h *Host) IP() string { return h.ip.String() }

// Enter calls start within the host: a process that it starts is there, and so are its sockets.
func (h *Host) Enter(start func() error) error { return enter(h.ns, start) }

func enter(ns netns.NsHandle, fn func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		return fn()
	})
}

// Dial opens a connection from the switch to a host, by its address in numbers.
func (n *Network) Dial(ctx context.Context, network, to string) (c net.Conn, err error) {
	err = enter(n.core, func() error {
		// To one address in numbers the dialer makes its socket here, on this thread.
		c, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, to)
		return err
	})
	return c, err
}

// DialTimeout is Dial for those who know no context.
func (n *Network) DialTimeout(network, to string, within time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return n.Dial(ctx, network, to)
}

// Cut keeps what the host sends, or what it is sent, from arriving. Both pull its cable; one alone is a route into
// nowhere. Cut(false, false) heals all.
func (h *Host) Cut(out, in bool) error {
	n := h.network
	port, err := n.wires.LinkByName(h.port)
	if err != nil {
		return err
	}
	if out && in {
		return n.wires.LinkSetDown(port)
	}
	errs := []error{n.wires.LinkSetUp(port)}
	half := net.CIDRMask(25, 32) // two halves are more exact than the network's own route, and win
	errs = append(errs, sink(h.within, address(0), half, out), sink(h.within, address(128), half, out))
	for _, other := range n.hosts {
		if other != h {
			errs = append(errs, sink(other.within, h.ip, net.CIDRMask(32, 32), in))
		}
	}
	return errors.Join(append(errs, sink(n.wires, h.ip, net.CIDRMask(32, 32), in))...)
}

// sink makes a route into nowhere, or removes it if it is there.
func sink(h *netlink.Handle, to net.IP, mask net.IPMask, on bool) error {
	route := &netlink.Route{Dst: &net.IPNet{IP: to, Mask: mask}, Type: unix.RTN_BLACKHOLE}
	if on {
		return h.RouteReplace(route)
	}
	if err := h.RouteDel(route); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (h *Host) close() {
	if h.within != nil {
		h.within.Close()
	}
	if h.ns.IsOpen() {
		h.ns.Close()
	}
}

// Close lets go of the network; it is gone when the last process in it is.
func (n *Network) Close() {
	for _, h := range n.hosts {
		h.close()
	}
	if n.wires != nil {
		n.wires.Close()
	}
	if n.core.IsOpen() {
		n.core.Close()
	}
}
