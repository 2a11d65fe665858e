package durability

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/troupe-sched/troupe/chaos/proc"
	"github.com/troupe-sched/troupe/cluster/natsd"
	"github.com/troupe-sched/troupe/cluster/store/badgerdb"
	"github.com/troupe-sched/troupe/cluster/store/badgerlog"
)

// RunChild is what the processes of a run do: Options.Self with arguments that Run gives it. It returns when ctx ends, or
// with what went wrong. Output is for Run, log for people.
func RunChild(ctx context.Context, args []string, out, log io.Writer) error {
	var c child
	flags := flag.NewFlagSet("child", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&c.kind, "kind", "", "nats, badger or snapshots")
	flags.StringVar(&c.dir, "dir", "", "where the store is")
	flags.StringVar(&c.name, "name", "", "name of the server")
	flags.IntVar(&c.port, "port", 0, "port for clients")
	flags.IntVar(&c.clusterPort, "cluster-port", 0, "port for the other servers; 0 if there are none")
	flags.StringVar(&c.routes, "routes", "", "URLs of the servers, with commas between")
	flags.BoolVar(&c.lazy, "lazy", false, "acknowledge before data is on disk")
	flags.StringVar(&c.marks, "marks", "", "file to which marks of acknowledged records are appended")
	flags.Uint64Var(&c.epoch, "epoch", 0, "epoch of the records")
	flags.IntVar(&c.window, "window", 0, "appends under way")
	flags.Uint64Var(&c.from.seq, "from", 0, "last record that was checked")
	hash := flags.String("hash", "", "and its hash")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if raw, err := hex.DecodeString(*hash); err != nil || copy(c.from.hash[:], raw) != len(raw) {
		return fmt.Errorf("-hash %q is no hash", *hash)
	}
	c.log = slog.New(slog.NewTextHandler(log, nil))
	switch c.kind {
	case "nats":
		return c.runNATS(ctx, out)
	case "badger":
		return c.runBadger(ctx, out)
	case "snapshots":
		return c.runSnapshots(ctx, out)
	}
	return fmt.Errorf("-kind %q: it must be nats, badger or snapshots", c.kind)
}

type child struct {
	kind, dir, name, routes, marks string
	port, clusterPort, window      int
	lazy                           bool
	epoch                          uint64
	from                           tip
	log                            *slog.Logger
}

func (c *child) runNATS(ctx context.Context, out io.Writer) error {
	o := natsd.Options{Dir: c.dir, Name: c.name, Port: c.port, SyncLazily: c.lazy, Log: c.log}
	if c.clusterPort != 0 {
		o.Cluster = &natsd.Cluster{Name: "durability", Port: c.clusterPort, Routes: strings.Split(c.routes, ",")}
	}
	server, err := natsd.Start(o)
	if err != nil {
		return err
	}
	defer server.Close()
	if err := json.NewEncoder(out).Encode(proc.Facts{NATS: server.ClientURL()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// checked is what a badger child has found in its log. It is in a file beside the marks before the child says that it is up.
type checked struct {
	Seq  uint64
	Hash string
	Loss loss
}

const checkedSuffix = ".checked"

// runBadger checks what is in the log against the marks, says so, and then appends and remembers until ctx ends.
func (c *child) runBadger(ctx context.Context, out io.Writer) error {
	db, err := badgerdb.OpenWith(badgerdb.Options{Dir: c.dir, Log: c.log, Reserve: 64 << 20})
	if err != nil {
		return err
	}
	log, err := badgerlog.New(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	defer func() { _ = errors.Join(log.Close(), db.Close()) }() // the process ends
	marks, err := readMarks(c.marks, c.from.seq)
	if err != nil {
		return err
	}
	end, found, err := check(ctx, log, c.from, marks)
	if err != nil {
		return err
	}
	remember, err := c.up(out, end, found)
	if err != nil || c.window == 0 {
		<-ctx.Done()
		return err
	}
	w := writer{log: log, epoch: c.epoch, tip: end, window: c.window, acked: remember}
	return w.run(ctx)
}

// up leaves what was found for Run and says that this process is up. It returns what remembers a tip.
func (c *child) up(out io.Writer, end tip, found loss) (remember func(tip), err error) {
	file, err := os.OpenFile(c.marks, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	said, err := json.Marshal(checked{end.seq, hex.EncodeToString(end.hash[:]), found})
	if err == nil {
		err = os.WriteFile(c.marks+checkedSuffix, said, 0o600)
	}
	if err == nil {
		err = json.NewEncoder(out).Encode(proc.Facts{})
	}
	return func(t tip) {
		// A write into the page cache of the machine, which outlives this process.
		if _, err := file.Write(t.mark().encode()); err != nil {
			panic(err) // what is not remembered cannot be checked
		}
	}, err
}

// readMarks reads what is remembered of records behind seq.
func readMarks(name string, behind uint64) ([]mark, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var marks []mark
	for ; len(data) >= markSize; data = data[markSize:] { // a kill may have cut the last
		if m := decodeMark(data); m.seq > behind {
			marks = append(marks, m)
		}
	}
	return marks, nil
}
