//go:build !linux

package link

import (
	"context"
	"errors"
	"net"
	"time"
)

// errLinuxOnly: this system has no network namespaces.
var errLinuxOnly = errors.New("network namespaces are there on Linux alone; a proxy works everywhere")

// Network is a network of its own; on this system there is none.
type Network struct{}

// Host is one place of the network.
type Host struct{}

// NewNetwork fails: this system has no network namespaces.
func NewNetwork() (*Network, error) { return nil, errLinuxOnly }

// NewHost fails.
func (*Network) NewHost() (*Host, error) { return nil, errLinuxOnly }

// Dial fails.
func (*Network) Dial(context.Context, string, string) (net.Conn, error) { return nil, errLinuxOnly }

// DialTimeout fails.
func (*Network) DialTimeout(string, string, time.Duration) (net.Conn, error) {
	return nil, errLinuxOnly
}

// Close does nothing.
func (*Network) Close() {}

// IP is empty.
func (*Host) IP() string { return "" }

// Enter fails.
func (*Host) Enter(func() error) error { return errLinuxOnly }

// Cut fails.
func (*Host) Cut(out, in bool) error { return errLinuxOnly }
