package trace

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-sched/troupe/actors/model"
	"github.com/troupe-sched/troupe/chaos/trace/openb"
	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// PlainHelp tells users the plain form.
const PlainHelp = `The plain form is a table with a header (CSV), or one JSON object a line with the same names; either may be packed with
gzip. Columns come in any order, most may be left out, and what is not known is refused.

Nodes: node (its name), count (so many of it, named node-0, node-1, ...), cpu, memory, disk, net, gpu (how many), model
(of its devices), pool, rack, attributes (key=value joined by ;).

Work: time (of the arrival: seconds, or a duration such as 1h30m), queue, job (its name, made up if empty), kind (batch or
service), band, rank, owner, instances, parallel, cpu, memory, disk, net, gpu (devices of an instance: 2, or a share such as
250m), models (that will do, joined by |), duration (that an attempt takes in truth: seconds or a duration; empty runs until
the end), estimate (that its user states), gang (true or false), spread (node attribute), pool.

Quantities are written as in job files: 2 or 250m cores, 64Mi or 1Gi bytes.`

// maxRowBytes bounds a line of a plain file.
const maxRowBytes = 1 << 20

// LoadPlain reads a workload in the plain form from two files.
func LoadPlain(nodes, work string) (*Workload, error) {
	w := &Workload{}
	if err := loadRows(nodes, nodeColumns, w.nodeRow); err != nil {
		return nil, err
	}
	return w, loadRows(work, workColumns, w.jobRow)
}

// ReadPlain reads a workload in the plain form.
func ReadPlain(nodes, work io.Reader) (*Workload, error) {
	w := &Workload{}
	if err := readRows(nodes, nodeColumns, w.nodeRow); err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	if err := readRows(work, workColumns, w.jobRow); err != nil {
		return nil, fmt.Errorf("work: %w", err)
	}
	return w, nil
}

func loadRows(path string, columns []string, take func(*row)) error {
	file, err := openb.Open(path)
	if err != nil {
		return err
	}
	if err = errors.Join(readRows(file, columns, take), file.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// row is one row; the first error in it stays.
type row struct {
	line   int
	values map[string]string
	err    error
}

func (r *row) fail(column string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("line %d: %s: %w", r.line, column, err)
	}
}

// read parses a column that is not empty.
func read[T any](r *row, column string, none T, parse func(string) (T, error)) T {
	text := r.values[column]
	if text == "" {
		return none
	}
	v, err := parse(text)
	if err != nil {
		r.fail(column, err)
		return none
	}
	return v
}

// count is a whole number from least to most.
func (r *row) count(column string, none, least, most int64) int64 {
	return read(r, column, none, func(s string) (int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("%s must be a whole number from %d to %d", model.Quote(s), least, most)
		}
		return n, nil
	})
}

func (r *row) flag(column string) bool {
	return read(r, column, false, func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, fmt.Errorf("%s must be true or false", model.Quote(s))
		}
		return s == "true", nil
	})
}

// maxTime is the latest time of a workload: virtual time ends some centuries later.
const maxTime = 50 * 366 * 24 * time.Hour

// span reads seconds or a duration, to the millisecond.
func span(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if seconds, plain := strconv.ParseFloat(s, 64); plain == nil && seconds <= maxTime.Seconds() {
		d, err = time.Duration(seconds*1000+0.5)*time.Millisecond, nil
	}
	if err != nil || d < 0 || d > maxTime {
		return 0, fmt.Errorf("%s must be seconds or a duration such as 1h30m, at most 50 years", model.Quote(s))
	}
	return d.Round(time.Millisecond), nil
}

var nodeColumns = []string{"node", "count", "cpu", "memory", "disk", "net", "gpu", "model", "pool", "rack", "attributes"}

// nodeRow makes the nodes of one row.
func (w *Workload) nodeRow(r *row) {
	count := r.count("count", 1, 1, MaxNodes)
	if int64(len(w.Nodes))+count > MaxNodes {
		r.fail("count", fmt.Errorf("more than %d nodes", MaxNodes))
		return
	}
	info := &v1.NodeInfo{
		Id: r.values["node"], CpuMilli: read(r, "cpu", 0, model.ParseCPU), MemoryBytes: read(r, "memory", 0, model.ParseBytes),
		DiskBytes: read(r, "disk", 0, model.ParseBytes), NetBps: read(r, "net", 0, model.ParseRate),
		Drivers: []string{model.DriverProcess}, Attributes: map[string]string{},
	}
	for range r.count("gpu", 0, 0, openb.MaxDevices) {
		info.Devices = append(info.Devices, &v1.Device{Kind: deviceKind, Model: r.values["model"]})
	}
	for _, key := range []string{model.PoolAttribute, "rack"} {
		if value := r.values[key]; value != "" {
			info.Attributes[key] = value
		}
	}
	for pair := range strings.SplitSeq(r.values["attributes"], ";") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			info.Attributes[strings.TrimSpace(key)] = strings.TrimSpace(value)
		} else if pair != "" {
			r.fail("attributes", fmt.Errorf("%s must be key=value", model.Quote(pair)))
		}
	}
	for i := range count {
		one := info
		if count > 1 {
			one = proto.CloneOf(info)
			one.Id = fmt.Sprintf("%s-%d", info.Id, i)
		}
		if problems := model.CheckNodeInfo(one); r.err == nil && len(problems) > 0 {
			p := problems[0]
			r.fail(nodeColumn(p.GetField()), errors.New(p.GetProblem()+"; "+p.GetHint()))
		}
		w.Nodes = append(w.Nodes, one)
	}
}

// nodeColumn is the column from which a field of a node was read.
func nodeColumn(field string) string {
	for prefix, column := range map[string]string{"id": "node", "cpu": "cpu", "memory": "memory", "devices": "model"} { //order: prefixes of different fields
		if strings.HasPrefix(field, prefix) {
			return column
		}
	}
	return field
}

const (
	// deviceKind is the kind of all devices of a trace.
	deviceKind = "gpu"
	// stageName is the one stage of every job.
	stageName = "run"
)

var workColumns = []string{
	"time", "queue", "job", "kind", "band", "rank", "owner", "instances", "parallel", "cpu", "memory", "disk", "net", "gpu", "models",
	"duration", "estimate", "gang", "spread", "pool",
}

// jobRow makes the job of one row.
func (w *Workload) jobRow(r *row) {
	if len(w.Jobs) == MaxJobs {
		r.fail("job", fmt.Errorf("more than %d jobs", MaxJobs))
		return
	}
	v := r.values
	stage := &v1.StageSpec{
		Name: stageName, Command: []string{"trace"}, Spread: v["spread"], Pool: v["pool"],
		Instances: r.count("instances", 1, 1, model.MaxInstances), Parallel: r.count("parallel", 0, 0, model.MaxInstances),
		Resources: &v1.Resources{Cpu: v["cpu"], Memory: v["memory"], Disk: v["disk"], Net: v["net"]},
	}
	if d := read(r, "estimate", 0, span); d > 0 {
		stage.Duration = model.FormatDuration(d)
	}
	if r.flag("gang") {
		stage.Gang = &v1.Gang{}
	}
	if milli := read(r, "gpu", 0, model.ParseCPU); milli > 0 {
		stage.Devices = wantDevices(milli)
		if stage.Devices == nil {
			r.fail("gpu", fmt.Errorf("%s must be whole devices, or a share of one", model.Quote(v["gpu"])))
		}
	}
	if v["models"] != "" {
		if stage.Devices == nil {
			r.fail("models", errors.New("there are models, but no gpu"))
		} else {
			stage.Devices.Models = slices.Compact(slices.Sorted(strings.SplitSeq(v["models"], "|")))
		}
	}
	job := Job{At: read(r, "time", 0, span), Run: read(r, "duration", Forever, span), Spec: &v1.JobSpec{
		Name: v["job"], Queue: v["queue"], Kind: v["kind"], Band: v["band"], Owner: v["owner"], Rank: int32(r.count("rank", 0, -1<<31, 1<<31-1)),
		Stages: []*v1.StageSpec{stage},
	}}
	if job.Spec.Name == "" {
		job.Spec.Name = fmt.Sprintf("job-%d", len(w.Jobs)+1)
	}
	if _, problems := model.Compile(job.Spec); r.err == nil && len(problems) > 0 {
		p := problems[0]
		r.fail(strings.TrimPrefix(strings.TrimPrefix(p.GetField(), "stages[0]."), "resources."), errors.New(p.GetProblem()+"; "+p.GetHint()))
	}
	w.Jobs = append(w.Jobs, job)
}

// wantDevices is whole devices or a share of one; nil if it is neither.
func wantDevices(milli int64) *v1.Devices {
	d := &v1.Devices{Kind: deviceKind, Count: 1}
	switch {
	case milli < model.WholeDevice:
		d.Share = model.FormatCPU(milli)
	case milli%model.WholeDevice != 0 || milli/model.WholeDevice > openb.MaxDevices:
		return nil
	default:
		d.Count = int32(milli / model.WholeDevice)
	}
	return d
}

// readRows reads a table, as CSV or as JSON lines.
func readRows(from io.Reader, columns []string, take func(*row)) error {
	in := bufio.NewReaderSize(from, 64<<10)
	for {
		switch b, err := in.Peek(1); {
		case err != nil:
			return fmt.Errorf("it is empty; there must be a header with some of %s, or JSON objects", strings.Join(columns, ", "))
		case b[0] == '{':
			return readObjects(in, columns, take)
		case !bytes.ContainsAny(b, " \t\r\n"):
			return readTable(in, columns, take)
		}
		if _, err := in.ReadByte(); err != nil {
			return err
		}
	}
}

func known(columns []string, name string) error {
	if slices.Contains(columns, name) {
		return nil
	}
	hint := "there are: " + strings.Join(columns, ", ")
	if near := model.Nearest(name, columns); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return fmt.Errorf("column %s is not known; %s", model.Quote(name), hint)
}

func readTable(in io.Reader, columns []string, take func(*row)) error {
	reader := csv.NewReader(in)
	reader.ReuseRecord, reader.TrimLeadingSpace, reader.Comment = true, true, '#'
	header, err := reader.Read()
	if err != nil {
		return err
	}
	names := slices.Clone(header)
	for i := range names {
		names[i] = strings.TrimSpace(strings.TrimPrefix(names[i], "\ufeff"))
		if err := known(columns, names[i]); err != nil {
			return fmt.Errorf("line 1: %w", err)
		}
		if slices.Contains(names[:i], names[i]) {
			return fmt.Errorf("line 1: column %s is there twice", names[i])
		}
	}
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err // it names the line
		}
		line, _ := reader.FieldPos(0)
		r := &row{line: line, values: make(map[string]string, len(names))}
		for i, text := range fields {
			r.values[names[i]] = strings.TrimSpace(text)
		}
		if take(r); r.err != nil {
			return r.err
		}
	}
}

func readObjects(in io.Reader, columns []string, take func(*row)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRowBytes)
	for line := 1; lines.Scan(); line++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var object map[string]any
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.UseNumber()
		if err := decoder.Decode(&object); err != nil {
			return fmt.Errorf("line %d: not a JSON object: %w", line, err)
		}
		r := &row{line: line, values: make(map[string]string, len(object))}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			value := object[name]
			if err := known(columns, name); err != nil {
				r.fail("name", err)
			}
			switch value.(type) {
			case string, json.Number, bool:
				r.values[name] = fmt.Sprint(value)
			case nil:
			default:
				r.fail(name, errors.New("it must be a text, a number, true or false"))
			}
		}
		if r.err == nil {
			take(r)
		}
		if r.err != nil {
			return r.err
		}
	}
	return lines.Err()
}
