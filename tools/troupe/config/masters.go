package config

import (
	"net"
	"slices"
	"strconv"
	"time"
)

// suspectMin is the least silence after which a leader may be taken for dead: four of its beats.
const suspectMin = time.Second

// diskMin is the least master.disk: a journal keeps what was appended since the older of two snapshots, up to three times
// 64 MiB, with both snapshots, and on disk that is more while tables are merged.
const diskMin = 512 << 20

// masters checks what is said of a cell of several masters, and fills in what follows from master.peers.
func (l *loader) masters(c *Config, source func(string) string, wrong func(name, hint, format string, args ...any)) {
	m := &c.Master
	if m.Suspect < suspectMin {
		wrong("master.suspect", "at least "+suspectMin.String(), "%s is less than four beats of a leader", m.Suspect)
	}
	if !slices.Contains([]int64{0, 1, 3, 5}, m.Replicas) {
		wrong("master.replicas", "1, 3 or 5: an even number stands no more losses", "%d copies", m.Replicas)
	}
	if m.Disk != 0 && m.Disk < diskMin {
		wrong("master.disk", "at least 512Mi, or 0 for as much as there is", "%d bytes are too few for a journal and its snapshots", m.Disk)
	}
	if len(m.Peers) > 0 {
		if source("master.store") == sourceDefault {
			m.Store = "jetstream"
			l.follows(c, "master.store", m.Store, "master.peers")
		}
		m.join(c.NATS.URL, wrong)
	}
	if m.Store != "jetstream" && (m.Cluster.Listen != "" || m.Replicas > 1) {
		wrong("master.store", "jetstream", "%s is no store for a cell of several masters (master.peers, master.replicas or master.cluster.listen is set)", m.Store)
	}
	if servers := len(m.Peers); servers > 0 && int(m.Replicas) > servers {
		wrong("master.replicas", strconv.Itoa(servers), "%d copies need as many servers, master.peers has %d", m.Replicas, servers)
	}
}

// join makes the cluster that master.peers describes.
func (m *Master) join(external string, wrong func(name, hint, format string, args ...any)) {
	const name = "master.peers"
	switch {
	case external != "":
		wrong(name, "leave out one of the two", "the masters' own NATS servers cannot be joined where nats.url names others")
		return
	case len(m.Cluster.Routes) > 0:
		wrong(name, "leave out master.cluster.routes", "it says what master.cluster.routes says")
		return
	case len(m.Peers) != 3 && len(m.Peers) != 5:
		wrong(name, "name three or five masters, this one among them: two stop when either does", "has %d of them", len(m.Peers))
		return
	}
	var ports []string
	for i, peer := range m.Peers {
		host, port, err := net.SplitHostPort(peer)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
			wrong(name, "write host:port, such as 10.0.0.1:6222", "%q is not where a master can be reached", peer)
			return
		}
		if slices.Contains(m.Peers[:i], peer) {
			wrong(name, "name every master once", "%s is there twice", peer)
			return
		}
		ports = append(ports, port)
		m.Cluster.Routes = append(m.Cluster.Routes, "nats://"+peer)
	}
	if m.Cluster.Listen != "" {
		return
	}
	if len(slices.Compact(ports)) > 1 {
		wrong(name, "say by --cluster-listen (master.cluster.listen) where this master hears the others", "has several ports")
		return
	}
	m.Cluster.Listen = net.JoinHostPort("0.0.0.0", ports[0])
}

// sourceDefault is where a value comes from that nobody has written.
const sourceDefault = "default"

// follows notes that a value follows from another key.
func (l *loader) follows(c *Config, name, value, from string) {
	for i := range c.entries {
		if c.entries[i].Key == name {
			c.entries[i].Value, c.entries[i].Source = value, from
		}
	}
}
