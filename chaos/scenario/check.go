package scenario

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Limits of a scenario.
const (
	faultsMax   = 10_000
	partsMax    = 64
	durationMax = Duration(100 * time.Hour)
)

// check fills in what was left out and says everything that is wrong, each by its field.
func (s *Scenario) check() error {
	var wrong []error
	bad := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
	}
	s.fillIn()
	s.Cell.check(bad)
	if s.Duration <= 0 || s.Duration > durationMax {
		bad("duration", "it is %v; right would be a time such as 60s, at most %v", s.Duration, durationMax)
	}
	if l := s.Load; l.Services < 0 || l.Clients < 0 || l.Every < 0 || l.Instances < 0 || l.Services > 10_000 || l.Clients > 1000 || l.Instances > 10_000 {
		bad("load", "services and instances are from 0 to 10000, clients from 0 to 1000, and every is a time")
	}
	if len(s.Faults) > faultsMax {
		bad("faults", "there are %d, at most %d are possible", len(s.Faults), faultsMax)
	}
	for i, f := range s.Faults {
		f.check(fmt.Sprintf("faults[%d]", i), s, bad)
		if f.At < 0 || f.At >= s.Duration {
			bad(fmt.Sprintf("faults[%d].at", i), "it is %v; right would be a time from 0s to before duration, %v", f.At, s.Duration)
		}
	}
	for i, f := range s.Random.Of {
		f.check(fmt.Sprintf("random.of[%d]", i), s, bad)
	}
	switch r := s.Random; {
	case len(r.Of) > 0 && r.Every <= 0:
		bad("random.every", "it is missing; give the mean time between two faults, such as 8s")
	case len(r.Of) == 0 && r.Every > 0:
		bad("random.of", "it is empty; give the faults to draw from")
	case r.Every > 0 && s.Duration/r.Every > faultsMax:
		bad("random.every", "it is %v, which makes more than %d faults", r.Every, faultsMax)
	}
	return errors.Join(wrong...)
}

func (s *Scenario) fillIn() {
	set := func(d *Duration, standard time.Duration) {
		if *d == 0 {
			*d = Duration(standard)
		}
	}
	for n, standard := range map[*int]int{&s.Cell.Masters: 1, &s.Cell.Nodes: 2, &s.Cell.CPU: 4, &s.Load.Instances: 3} { //order: each apart
		if *n == 0 {
			*n = standard
		}
	}
	if s.Cell.Network == "" {
		s.Cell.Network = "proxy"
	}
	set(&s.Quiet, time.Minute)
	set(&s.Load.Work, 200*time.Millisecond)
	set(&s.Load.Think, 50*time.Millisecond)
	set(&s.Random.From, 2*time.Second)
}

func (c *Cell) check(bad func(field, format string, args ...any)) {
	if !slices.Contains([]int{1, 3, 5}, c.Masters) {
		bad("cell.masters", "there are %d; right would be 1, 3 or 5", c.Masters)
	}
	if !slices.Contains([]int{0, 1, 3, 5}, c.NATS) {
		bad("cell.nats", "there are %d; right would be 1, 3 or 5, or 0 if each master has its own", c.NATS)
	}
	if c.Nodes < 0 || c.Nodes > partsMax {
		bad("cell.nodes", "there are %d; right would be 0 to %d", c.Nodes, partsMax)
	}
	if c.CPU < 1 || c.CPU > 1024 {
		bad("cell.cpu", "it is %d; right would be the cores of a node, 1 to 1024", c.CPU)
	}
	if c.Network != "proxy" && c.Network != "netns" {
		bad("cell.network", "it is %q; right would be proxy or netns", c.Network)
	}
	for _, role := range c.Disks {
		if !slices.Contains(diskRoles, role) {
			bad("cell.disks", "%q has no disk; right would be some of %s", role, strings.Join(diskRoles, ", "))
		}
	}
	for _, role := range slices.Sorted(maps.Keys(c.Flags)) {
		if role != "master" && role != "node" {
			bad("cell.flags", "%q takes no flags; right would be master or node", role)
		}
	}
}

// check says what is wrong with a fault of a scenario.
func (f *Fault) check(at string, s *Scenario, bad func(field, format string, args ...any)) {
	k, ok := kinds[f.Fault]
	if !ok {
		bad(at+".fault", "%q is not a fault; right would be one of %s", f.Fault, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		return
	}
	if len(k.roles) == 0 && f.Who != "" {
		bad(at+".who", "%s strikes the cell and nobody by name; leave it out", f.Fault)
	}
	if len(k.roles) > 0 {
		f.checkWho(at, k, s, bad)
	}
	if k.lasts && f.For <= 0 {
		bad(at+".for", "it is missing; %s lasts, give how long, such as 5s", f.Fault)
	}
	if f.For < 0 || f.For > durationMax {
		bad(at+".for", "it is %v; right would be a time such as 5s", f.For)
	}
	if k.by && f.By == 0 {
		bad(at+".by", "it is missing; %s needs a size, such as 200ms", f.Fault)
	}
	if k.times && (f.Times < 1 || f.Times > 10_000) {
		bad(at+".times", "it is %d; right would be 1 to 10000", f.Times)
	}
	switch {
	case len(k.how) == 0 && f.How != "":
		bad(at+".how", "%s knows no ways; leave it out", f.Fault)
	case f.How != "" && !slices.Contains(k.how, f.How):
		bad(at+".how", "%q is no way of it; right would be one of %s", f.How, strings.Join(k.how, ", "))
	}
}

func (f *Fault) checkWho(at string, k kind, s *Scenario, bad func(field, format string, args ...any)) {
	if f.Who == "" {
		bad(at+".who", "it is missing; give whom %s strikes, such as leader or any node", f.Fault)
		return
	}
	picks, err := f.Who.Picks()
	if err != nil {
		bad(at+".who", "%v", err)
		return
	}
	for _, p := range picks {
		switch {
		case !slices.Contains(k.roles, p.Role):
			bad(at+".who", "%s cannot strike a %s; right would be one of %s", f.Fault, p.Role, strings.Join(k.roles, ", "))
		case p.Role == "nats" && s.Cell.NATS == 0:
			bad(at+".who", "there is no NATS server beside the masters; set cell.nats")
		case p.Follower && s.Cell.Masters == 1:
			bad(at+".who", "there are no followers with one master; set cell.masters")
		case k.disk && !slices.Contains(s.Cell.Disks, p.Role):
			bad(at+".who", "a %s's disk is out of reach; add it to cell.disks", p.Role)
		case s.Cell.Network == "proxy" && !proxied(f.Fault, p.Role, s.Cell):
			bad(at+".who", "there is no proxy between a %s and NATS here; set cell.network to netns", p.Role)
		case s.Cell.Network == "netns" && (f.How == "half-open" || f.Fault == "delay" || f.Fault == "reset"):
			bad(at+".fault", "that is done by a proxy; set cell.network to proxy")
		}
	}
}

// proxied says whether a proxy can do that fault to that role. Masters that have NATS servers of their own are on both sides
// of every proxy, and tell agents of each other's addresses.
func proxied(fault, role string, c Cell) bool {
	switch fault {
	case "partition", "delay", "reset":
		return c.NATS > 0 && role != "nats" || c.Masters == 1 && role == "node"
	}
	return true
}
