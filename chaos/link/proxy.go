package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// State is what a proxy does to what passes it.
type State struct {
	// CutOut and CutIn hold back what the client sends, and what it is sent.
	CutOut, CutIn bool
	// HalfOpen takes new connections and carries nothing over them; those that are open are cut both ways.
	HalfOpen bool
	// Delay holds everything back for so long, each way.
	Delay time.Duration
}

const (
	// chunkSize and chunksMax bound what a proxy holds back of one direction of a connection; then the sender waits.
	chunkSize = 16 << 10
	chunksMax = 64
	// connsMax bounds the connections of one proxy; more are closed at once.
	connsMax = 4096
	// dialWithin bounds the wait for the server.
	dialWithin = 3 * time.Second
)

// DialFunc opens a connection to where a proxy leads.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Proxy passes TCP connections on to one server.
type Proxy struct {
	listener net.Listener
	dial     DialFunc
	to       string
	ctx      context.Context
	stop     context.CancelFunc
	done     sync.WaitGroup

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed and renewed when the state changes
	conns   map[*net.TCPConn]struct{}
}

// NewProxy listens on a free port of this machine and leads to the server at the address to. A nil dial is the machine's own.
func NewProxy(to string, dial DialFunc) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", to, err)
	}
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	p := &Proxy{listener: listener, dial: dial, to: to, changed: make(chan struct{}), conns: map[*net.TCPConn]struct{}{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.done.Add(1)
	go p.accept()
	return p, nil
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes what is done from now on, to open connections too.
func (p *Proxy) Set(s State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
	close(p.changed)
	p.changed = make(chan struct{})
}

// Reset breaks all open connections with a reset, and tells how many. New ones are taken.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns { //order: each is closed, whichever comes first
		_ = c.SetLinger(0) // so that the close is a reset; on one that is closed it fails, and does not matter
		c.Close()
	}
	return len(p.conns)
}

// Close ends it and all connections.
func (p *Proxy) Close() {
	p.stop()
	p.listener.Close()
	p.Reset()
	p.done.Wait()
}

func (p *Proxy) now() (State, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.changed
}

func (p *Proxy) accept() {
	defer p.done.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // one connection could not be taken; the next may be
		}
		p.done.Add(1)
		go p.serve(c.(*net.TCPConn))
	}
}

// keep notes an open connection, or refuses it.
func (p *Proxy) keep(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || len(p.conns) >= connsMax {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c *net.TCPConn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	c.Close()
}

// serve carries one connection until either side ends it.
func (p *Proxy) serve(client *net.TCPConn) {
	defer p.done.Done()
	if !p.keep(client) {
		client.Close()
		return
	}
	defer p.drop(client)
	if !p.pass(func(s State) bool { return !s.HalfOpen }) {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, dialWithin)
	far, err := p.dial(ctx, "tcp", p.to)
	cancel()
	if err != nil {
		return // closed: to the client it is as if the server were not there
	}
	server := far.(*net.TCPConn)
	if !p.keep(server) {
		server.Close()
		return
	}
	defer p.drop(server)
	var ways sync.WaitGroup
	ways.Add(2)
	go func() {
		defer ways.Done()
		p.carry(server, client, func(s State) bool { return !s.CutOut && !s.HalfOpen })
	}()
	go func() {
		defer ways.Done()
		p.carry(client, server, func(s State) bool { return !s.CutIn && !s.HalfOpen })
	}()
	ways.Wait()
}

// pass waits until the state is open; false when the proxy ends.
func (p *Proxy) pass(open func(State) bool) bool {
	for {
		s, changed := p.now()
		if open(s) {
			return true
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			return false
		}
	}
}

type chunk struct {
	data []byte
	at   time.Time
}

// carry brings bytes one way. When that way ends so does the connection, as soon as what is on its way has arrived.
func (p *Proxy) carry(to, from *net.TCPConn, open func(State) bool) {
	chunks := make(chan chunk, chunksMax)
	go func() {
		defer close(chunks)
		for {
			buffer := make([]byte, chunkSize)
			n, err := from.Read(buffer)
			if n > 0 {
				chunks <- chunk{buffer[:n], time.Now()}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for c := range chunks { // to the end, or the reader would stay
		if broken || !p.deliver(to, c, open) {
			broken = true
			from.Close()
		}
	}
	if p.pass(open) {
		_ = to.CloseWrite() // on a connection that is gone it fails, and does not matter
	}
}

func (p *Proxy) deliver(to *net.TCPConn, c chunk, open func(State) bool) bool {
	if s, _ := p.now(); s.Delay > 0 {
		timer := time.NewTimer(time.Until(c.at.Add(s.Delay)))
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			timer.Stop()
			return false
		}
	}
	if !p.pass(open) {
		return false
	}
	_, err := to.Write(c.data)
	return err == nil
}
