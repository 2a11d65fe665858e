// Package openb reads workloads in the form of the public GPU packing trace of Alibaba (cluster-trace-gpu-v2023): a list
// of nodes, a list of pods, and the order in which the published study (Weng et al., "Beware of Fragmentation", USENIX
// ATC 2023) let the pods come. Every error names the line and the field.
package openb

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// Limits: lists beyond them are refused.
const (
	// MaxRows is the most rows of a list, and the most arrivals of a sequence.
	MaxRows = 4_000_000
	// MaxAmount is the most of one resource that a row may name, in its own unit.
	MaxAmount = int64(1) << 32
	// MaxDevices is the most devices of a node or pod.
	MaxDevices = 16
	// Whole is one device, in milli-devices.
	Whole = 1000
	// maxLine bounds a line of a sequence, in bytes.
	maxLine = 64 << 20
)

// Node is one machine.
type Node struct {
	Name string
	// CPU is in milli-cores, Memory in MiB.
	CPU, Memory int64
	Devices     int
	// Model is the one model of its devices, empty if it has none.
	Model string
}

// Pod is one request.
type Pod struct {
	Name string
	// CPU is in milli-cores, Memory in MiB.
	CPU, Memory int64
	// Milli is asked of each of Devices different devices, in milli-devices.
	Devices int
	Milli   int
	// Models are the device models that will do; none means any.
	Models []string
}

// Total is what the pod asks of devices in all, in milli-devices.
func (p *Pod) Total() int64 { return int64(p.Devices) * int64(p.Milli) }

// Open opens a file for reading, and unpacks it if it is packed with gzip, whatever its name.
func Open(path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(file)
	if magic, _ := buffered.Peek(2); string(magic) != "\x1f\x8b" {
		return &opened{buffered, file}, nil
	}
	unpacked, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return &opened{unpacked, file}, nil
}

type opened struct {
	io.Reader
	io.Closer
}

// LoadNodes reads a list of nodes from a file, packed or not.
func LoadNodes(path string) ([]Node, error) { return load(path, ReadNodes) }

// LoadPods reads a list of pods from a file, packed or not.
func LoadPods(path string) ([]Pod, error) { return load(path, ReadPods) }

func load[T any](path string, read func(io.Reader) (T, error)) (T, error) {
	var none T
	file, err := Open(path)
	if err != nil {
		return none, err
	}
	list, err := read(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return none, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// ReadNodes reads a list of nodes: columns sn, cpu_milli, memory_mib, gpu and model, in any order, others are skipped.
func ReadNodes(r io.Reader) ([]Node, error) {
	var nodes []Node
	names := map[string]bool{}
	err := eachRow(r, []string{"sn", "cpu_milli", "memory_mib", "gpu", "model"}, func(row *row) {
		n := Node{
			Name: row.name("sn", names), CPU: row.amount("cpu_milli", MaxAmount), Memory: row.amount("memory_mib", MaxAmount),
			Devices: int(row.amount("gpu", MaxDevices)), Model: row.text("model"),
		}
		if n.Devices > 0 && n.Model == "" {
			row.fail("model", "is empty, but the node has devices")
		}
		nodes = append(nodes, n)
	})
	return nodes, err
}

// ReadPods reads a list of pods: columns name, cpu_milli, memory_mib, num_gpu and gpu_milli, and gpu_spec if it is there
// (models that will do, joined by "|"), in any order, others are skipped.
func ReadPods(r io.Reader) ([]Pod, error) {
	var pods []Pod
	names := map[string]bool{}
	err := eachRow(r, []string{"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"}, func(row *row) {
		p := Pod{
			Name: row.name("name", names), CPU: row.amount("cpu_milli", MaxAmount), Memory: row.amount("memory_mib", MaxAmount),
			Devices: int(row.amount("num_gpu", MaxDevices)), Milli: int(row.amount("gpu_milli", Whole)),
		}
		for model := range strings.SplitSeq(row.text("gpu_spec"), "|") {
			if model != "" {
				p.Models = append(p.Models, model)
			}
		}
		switch {
		case p.Devices > 0 && p.Milli == 0:
			row.fail("gpu_milli", "is 0, but num_gpu is not")
		case p.Devices > 1 && p.Milli != Whole:
			row.fail("gpu_milli", fmt.Sprintf("is %d, but parts of a device go with num_gpu 1 alone", p.Milli))
		case p.Devices == 0:
			p.Milli = 0
		}
		pods = append(pods, p)
	})
	return pods, err
}

// row is one row of a list. The first error in it stays.
type row struct {
	columns map[string]int
	fields  []string
	line    int
	err     error
}

func (r *row) fail(column, problem string) {
	if r.err == nil {
		r.err = fmt.Errorf("line %d: %s %s", r.line, column, problem)
	}
}

// text is the field of a column, empty if the list has no such column.
func (r *row) text(column string) string {
	i, there := r.columns[column]
	if !there {
		return ""
	}
	return strings.TrimSpace(r.fields[i])
}

// name is a field that names the row and appears once.
func (r *row) name(column string, seen map[string]bool) string {
	name := r.text(column)
	switch {
	case name == "":
		r.fail(column, "is empty")
	case seen[name]:
		r.fail(column, fmt.Sprintf("is %q again", name))
	}
	seen[name] = true
	return name
}

// amount is a whole number from 0 to most. Lists that other programs have written say 1000.0 for it.
func (r *row) amount(column string, most int64) int64 {
	text := strings.TrimSuffix(r.text(column), ".0")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		r.fail(column, fmt.Sprintf("is %q, it must be a whole number from 0 to %d", r.text(column), most))
		return 0
	}
	return n
}

// eachRow reads a list with a header that must have the wanted columns.
func eachRow(r io.Reader, wanted []string, take func(*row)) error {
	reader := csv.NewReader(r)
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return fmt.Errorf("no header with the columns %s: %w", strings.Join(wanted, ", "), err)
	}
	columns := map[string]int{}
	for i, name := range header {
		columns[strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))] = i
	}
	for _, name := range wanted {
		if _, there := columns[name]; !there {
			return fmt.Errorf("line 1: no column %s; there must be %s", name, strings.Join(wanted, ", "))
		}
	}
	for count := 0; ; count++ {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err // it names the line
		}
		line, _ := reader.FieldPos(0)
		if count == MaxRows {
			return fmt.Errorf("line %d: more than %d rows", line, MaxRows)
		}
		row := row{columns: columns, fields: fields, line: line}
		if take(&row); row.err != nil {
			return row.err
		}
	}
}
