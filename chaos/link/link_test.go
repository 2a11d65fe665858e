package link

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// echo answers every byte with itself.
func echo(t *testing.T, l net.Listener) string {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func proxied(t *testing.T) (*Proxy, net.Conn) {
	t.Helper()
	p, err := NewProxy(echo(t, listen(t, "127.0.0.1:0")), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return p, c
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("heard %q, %v; want %q", got, err, text)
	}
}

// silent asserts that nothing arrives for a moment; what is held back cannot arrive however long one waits.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	var b [1]byte
	if n, err := c.Read(b[:]); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %q, %v", b[:n], err)
	}
}

func TestF24_ACutKeepsWhatIsSentAndHealsLate(t *testing.T) {
	for name, cut := range map[string]State{
		"out": {CutOut: true}, "in": {CutIn: true}, "both": {CutOut: true, CutIn: true}, "half open": {HalfOpen: true},
	} {
		t.Run(name, func(t *testing.T) {
			p, c := proxied(t)
			say(t, c, "before")
			hear(t, c, "before")
			p.Set(cut)
			say(t, c, "during")
			silent(t, c)
			p.Set(State{})
			hear(t, c, "during")
		})
	}
}

func TestF24_HalfOpenTakesConnectionsAndSaysNothing(t *testing.T) {
	p, _ := proxied(t)
	p.Set(State{HalfOpen: true})
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say(t, c, "hello")
	silent(t, c)
	p.Set(State{})
	hear(t, c, "hello")
}

func TestF24_ResetBreaksConnectionsAndTakesNewOnes(t *testing.T) {
	p, c := proxied(t)
	say(t, c, "x")
	hear(t, c, "x")
	if n := p.Reset(); n != 2 { // to the client, and to the server
		t.Errorf("%d connections broken", n)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}
	again, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	say(t, again, "y")
	hear(t, again, "y")
}

func TestF24_DelayHoldsBackAndKeepsOrder(t *testing.T) {
	p, c := proxied(t)
	const delay = 30 * time.Millisecond
	p.Set(State{Delay: delay})
	begin := time.Now()
	say(t, c, "one ")
	say(t, c, "two")
	hear(t, c, "one two")
	if took := time.Since(begin); took < 2*delay { // once each way
		t.Errorf("there and back in %v", took)
	}
}

func TestProxyPassesEnds(t *testing.T) {
	_, c := proxied(t)
	say(t, c, "last")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if all, err := io.ReadAll(c); err != nil || string(all) != "last" {
		t.Fatalf("%q, %v", all, err)
	}
}

// A host's cable is pulled, wholly and in one direction; a process in it is where it says.
func TestF24_NetworkCuts(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("network namespaces need Linux and the rights of root")
	}
	n, err := NewNetwork()
	if err != nil {
		t.Skip(err)
	}
	defer n.Close()
	var hosts [2]*Host
	for i := range hosts {
		if hosts[i], err = n.NewHost(); err != nil {
			t.Fatal(err)
		}
	}
	var l net.Listener
	if err := hosts[0].Enter(func() error { l = listen(t, hosts[0].IP()+":0"); return nil }); err != nil {
		t.Fatal(err)
	}
	at := echo(t, l)
	reach := func(from string) net.Conn {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, err := n.Dial(ctx, "tcp", at)
		if err != nil {
			t.Fatal(from, err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := reach("from the switch")
	say(t, c, "a")
	hear(t, c, "a")
	for _, cut := range [][2]bool{{true, true}, {true, false}, {false, true}} {
		if err := hosts[0].Cut(cut[0], cut[1]); err != nil {
			t.Fatal(cut, err)
		}
		_, _ = c.Write([]byte("b")) // towards a sink the write may fail at once
		silent(t, c)
		if err := hosts[0].Cut(false, false); err != nil {
			t.Fatal(cut, err)
		}
		c = reach("after the cut")
		say(t, c, "c")
		hear(t, c, "c")
	}
	if err := hosts[1].Cut(true, false); err != nil { // of another host: not ours
		t.Fatal(err)
	}
	say(t, c, "d")
	hear(t, c, "d")
}
