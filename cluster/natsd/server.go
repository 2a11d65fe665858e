// Package natsd runs a NATS server with JetStream inside the process, set up so that what it acknowledges is on disk, and
// opens connections, to it or to a server elsewhere, that never write what their caller has given up.
package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// MaxPayload is the most bytes of one message: it admits a job file of a megabyte and every journal record.
	MaxPayload = 2 << 20
	// StoreMin is the least room that a store may have.
	StoreMin = 64 << 20
	// RandomPort lets the system choose Options.Port.
	RandomPort = -1

	// storeSpare is what Options.StoreMax leaves free of the disk if it is not given.
	storeSpare = 256 << 20
	// memoryMax bounds streams in memory; the house keeps nothing there that matters.
	memoryMax = 64 << 20
	// startPatience is how long a start may take: reading a large store is the most of it.
	startPatience = 30 * time.Second
)

// Options of a Server. Dir is required.
type Options struct {
	// Dir holds the JetStream store, made if it is not there. One server at a time may use it.
	Dir string
	// Name of the server; required and unique in a Cluster.
	Name string
	// Host to listen on, 127.0.0.1 if empty.
	Host string
	// Port to listen on for clients; RandomPort for one that the system chooses, 0 for none: then only connections in the process
	// are possible.
	Port int
	// Cluster joins this server to others; nil for a server of its own.
	Cluster *Cluster
	// MaxPayload overrides the constant of that name.
	MaxPayload int
	// StoreMax is the most bytes that streams may take on disk; if zero, what is free in Dir but for a spare.
	StoreMax int64
	// SyncLazily lets the server acknowledge what is not on disk yet. A power cut then loses it, and at worst the whole
	// stream: for throw-away data only.
	SyncLazily bool
	// Log gets the server's lines; nil drops them.
	Log *slog.Logger
}

// Cluster says how servers find each other.
type Cluster struct {
	// Name of the cluster, the same in all of its servers.
	Name string
	// Host and Port to listen on for the other servers; Port may be RandomPort.
	Host string
	Port int
	// Routes are the URLs of the servers of the cluster, such as "nats://10.0.0.2:6222": at least one, better all. This
	// server's own may be among them.
	Routes []string
	// Silent keeps the addresses of the other servers from clients: they use those that they were given, and no others.
	Silent bool
}

// Server is a running server.
type Server struct {
	opts    Options
	log     *slog.Logger
	reserve int64
	every   time.Duration

	srv atomic.Pointer[server.Server]
	// so and out are those of srv: options with the ports that the system chose, and what it has said.
	so  *server.Options
	out *lines

	stop             sync.Once
	closing, watched chan struct{}
}

// Start starts a server and returns when it takes connections.
func Start(opts Options) (*Server, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	so, err := serverOptions(&opts)
	if err != nil {
		return nil, fmt.Errorf("natsd: %w", err)
	}
	s := &Server{
		opts: opts, log: opts.Log, reserve: Reserve, every: watchEvery, so: so, out: &lines{log: opts.Log},
		closing: make(chan struct{}), watched: make(chan struct{}),
	}
	srv, err := begin(so, s.out)
	if err != nil {
		return nil, fmt.Errorf("natsd: the server in %s does not start: %w", opts.Dir, err)
	}
	s.srv.Store(srv)
	s.keepPorts(srv)
	go s.watch()
	return s, nil
}

// begin starts a server and waits until it takes connections, or has said why it never will.
func begin(so *server.Options, out *lines) (*server.Server, error) {
	srv, err := server.NewServer(so.Clone())
	if err != nil {
		return nil, err
	}
	srv.SetLoggerV2(out, false, false, false)
	srv.Start()
	for deadline := time.Now().Add(startPatience); ; {
		switch {
		case out.fatal() != "":
			err = errors.New(out.fatal())
		case srv.ReadyForConnections(50*time.Millisecond) && srv.JetStreamEnabled():
			return srv, nil
		case time.Now().After(deadline):
			err = fmt.Errorf("it is not ready after %v", startPatience)
		}
		if err != nil {
			stopServer(srv)
			return nil, err
		}
	}
}

// keepPorts lets the next server listen where this one does.
func (s *Server) keepPorts(srv *server.Server) {
	if addr, ok := srv.Addr().(*net.TCPAddr); ok && !s.so.DontListen {
		s.so.Port = addr.Port
	}
	if addr := srv.ClusterAddr(); addr != nil {
		s.so.Cluster.Port = addr.Port
	}
}

func serverOptions(opts *Options) (*server.Options, error) {
	if opts.Dir == "" {
		return nil, errors.New("no directory given for the store")
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := fillIn(opts); err != nil {
		return nil, err
	}
	so := &server.Options{
		ServerName: opts.Name,
		Host:       opts.Host, Port: opts.Port, DontListen: opts.Port == 0,
		// Its handler would call os.Exit in the middle of our own shutdown.
		NoSigs:     true,
		MaxPayload: int32(opts.MaxPayload),
		JetStream:  true, StoreDir: opts.Dir, SyncAlways: !opts.SyncLazily,
		// Not given, they are a share of what is free at the start, and stay so when the disk grows.
		JetStreamMaxStore: opts.StoreMax, JetStreamMaxMemory: memoryMax,
		DisableJetStreamBanner: true,
		// Of an orderly stop: clients go within half a second, once the streams have other leaders.
		LameDuckDuration: 501 * time.Millisecond, LameDuckGracePeriod: time.Millisecond,
	}
	if opts.Port == 0 {
		so.Port = RandomPort // it is not listened on, but 0 would mean the default
	}
	if c := opts.Cluster; c != nil {
		so.Cluster = server.ClusterOpts{Name: c.Name, Host: c.Host, Port: c.Port, NoAdvertise: c.Silent}
		for i, route := range c.Routes {
			u, err := url.Parse(route)
			if err != nil || u.Host == "" {
				return nil, fmt.Errorf("cluster route %d, %q, is not a URL such as nats://10.0.0.2:6222", i, route)
			}
			so.Routes = append(so.Routes, u)
		}
	}
	return so, nil
}

// fillIn checks the options and fills in what was left out.
func fillIn(opts *Options) error {
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if opts.Port < RandomPort || opts.Port > 65535 {
		return fmt.Errorf("port %d: it must be from 1 to 65535, 0 for none or %d for any", opts.Port, RandomPort)
	}
	if opts.MaxPayload == 0 {
		opts.MaxPayload = MaxPayload
	}
	if opts.MaxPayload < 4096 || opts.MaxPayload > 64<<20 {
		return fmt.Errorf("max payload of %d bytes: it must be from 4 KiB to 64 MiB", opts.MaxPayload)
	}
	if c := opts.Cluster; c != nil {
		if c.Host == "" {
			c.Host = opts.Host
		}
		if c.Name == "" || opts.Name == "" || c.Port == 0 || len(c.Routes) == 0 {
			return errors.New("a server in a cluster needs its own name, the cluster's name, a port for the other servers and a route to one")
		}
		// It opens its routes after its client port and else waits for ever, also in its shutdown.
		if opts.Port == 0 {
			return errors.New("a server in a cluster needs a port for clients")
		}
	}
	room, err := roomFor(opts.Dir)
	if err != nil {
		return err
	}
	given := opts.StoreMax != 0
	if !given {
		opts.StoreMax = room - storeSpare
	}
	if given && opts.StoreMax < StoreMin {
		return fmt.Errorf("store of at most %d MiB: it needs %d MiB", opts.StoreMax>>20, StoreMin>>20)
	}
	if opts.StoreMax < StoreMin || opts.StoreMax > room {
		return fmt.Errorf("%w: store of at most %d MiB in %s, where there is room for %d MiB: it needs %d MiB and, if no size is given, a spare of %d MiB",
			ErrFull, max(opts.StoreMax, 0)>>20, opts.Dir, room>>20, StoreMin>>20, storeSpare>>20)
	}
	return nil
}

// roomFor is how large a store in dir can be: what is free, and what the store has taken already.
func roomFor(dir string) (int64, error) {
	room, err := free(dir)
	if err != nil {
		return 0, err
	}
	err = filepath.WalkDir(StoreDir(dir), func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			room += info.Size()
		}
		return err
	})
	return room, err
}

// ClientURL is where clients connect, "" if the server does not listen.
func (s *Server) ClientURL() string {
	if srv := s.current(); srv.Running() && srv.Addr() != nil {
		return srv.ClientURL()
	}
	return ""
}

// ClusterURL is where other servers connect, "" if the server is of no cluster.
func (s *Server) ClusterURL() string {
	if addr := s.current().ClusterAddr(); addr != nil {
		return "nats://" + addr.String()
	}
	return ""
}

// InProcess is the connect option that reaches the server within the process, whether it listens or not.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s) }

// Connect opens a connection within the process, named for the server's lists. The caller closes it.
func (s *Server) Connect(name string, opts ...nats.Option) (*nats.Conn, error) {
	return Dial("", name, s.log, append([]nats.Option{s.InProcess()}, opts...)...)
}

// Retire stops a server of a cluster in order: what it leads among the streams goes to others, then clients are sent to
// them, then it stops. Without it the others need seconds to find out and choose. It takes a second or two.
func (s *Server) Retire() {
	if s.opts.Cluster != nil {
		s.end((*server.Server).LameDuckShutdown)
	}
	s.Close()
}

// Close stops the server and returns when it has. It does nothing when called again.
func (s *Server) Close() {
	s.end(func(*server.Server) {})
}

// end ends the watch, then the server, once.
func (s *Server) end(prepare func(*server.Server)) {
	s.stop.Do(func() {
		close(s.closing)
		<-s.watched
		prepare(s.current())
		stopServer(s.current())
	})
}

func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// StoreDir is where a server with that Options.Dir keeps its streams.
func StoreDir(dir string) string { return filepath.Join(dir, server.JetStreamStoreDir) }

// lines carries the server's log into ours. Its notices are about its own start and stop: our Debug.
type lines struct {
	log     *slog.Logger
	mu      sync.Mutex
	last    string
	noSpace string
}

func (l *lines) Noticef(format string, args ...any) { l.log.Debug("nats: " + text(format, args)) }
func (l *lines) Debugf(string, ...any)              {}
func (l *lines) Tracef(string, ...any)              {}

// Warnf takes a warning; that a write has failed is one.
func (l *lines) Warnf(format string, args ...any) {
	line := text(format, args)
	l.log.Warn("nats: " + line)
	l.note(line)
}

// Errorf takes an error.
func (l *lines) Errorf(format string, args ...any) {
	line := text(format, args)
	l.log.Error("nats: " + line)
	l.note(line)
}

// Fatalf is called where a server of its own would exit: the start fails, or a running server has shut itself down.
func (l *lines) Fatalf(format string, args ...any) {
	line := text(format, args)
	l.log.Error("nats: fatal: " + line)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = line
}

// fatal is the last line that would have ended a server of its own.
func (l *lines) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func text(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
