// Package swf reads logs in the Standard Workload Format of the Parallel Workloads Archive (Chapin et al., "Benchmarks and
// standards for the evaluation of parallel job schedulers", JSSPP 1999): a line a job with 18 columns, and a header of
// comments that begin with a semicolon.
package swf

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// Limits of a log: what is beyond them is refused.
const (
	// MaxJobs is the most jobs.
	MaxJobs = 4_000_000
	// MaxHeader is the most header fields.
	MaxHeader = 10_000
	// maxLines bounds a file, comments and empty lines counted.
	maxLines = 2 * MaxJobs
	// maxLine bounds a line, in bytes.
	maxLine = 64 << 10
	// maxSeconds bounds times, some three thousand years.
	maxSeconds = 100_000_000_000
	// MaxProcs bounds processors of a job and of the machine.
	MaxProcs = 1 << 30
)

// Unknown stands for a value that the log does not have.
const Unknown = -1

// Log is one machine and its jobs.
type Log struct {
	// Header has the fields of the header by name, such as MaxProcs; the first of a name counts.
	Header map[string]string
	// Procs is how many processors the machine has: MaxProcs of the header, else MaxNodes, else 0.
	Procs int64
	// Jobs in the order of the file.
	Jobs []Job
}

// Job is one line. Times are seconds; Unknown stands for what the log does not have.
type Job struct {
	Line                int // of the file, from 1
	ID                  int64
	Submit              int64 // after the beginning of the log
	Wait, Run           int64
	Procs               int64 // allocated
	CPU                 int64 // mean time used of each processor
	Memory              int64 // mean of each processor, KiB
	ProcsAsked          int64
	Asked               int64 // run time requested, which bounds Run in most systems
	MemoryAsked         int64
	Status              int64
	User, Group, App    int64
	Queue, Partition    int64
	Preceding, ThinkFor int64
}

// column is what may stand in one of the 18.
type column struct {
	name, want string
	least      int64
	most       int64
	set        func(*Job, int64)
}

const (
	seconds = "seconds, or -1 if unknown"
	count   = "a count, or -1 if unknown"
	number  = "a whole number, or -1 if unknown"
)

var columns = [...]column{
	{"job number", "a whole number of at least 0", 0, math.MaxInt64, func(j *Job, v int64) { j.ID = v }},
	{"submit time", "seconds of at least 0", 0, maxSeconds, func(j *Job, v int64) { j.Submit = v }},
	{"wait time", seconds, -1, maxSeconds, func(j *Job, v int64) { j.Wait = v }},
	{"run time", seconds, -1, maxSeconds, func(j *Job, v int64) { j.Run = v }},
	{"allocated processors", count, -1, MaxProcs, func(j *Job, v int64) { j.Procs = v }},
	{"average CPU time", seconds, -1, maxSeconds, func(j *Job, v int64) { j.CPU = v }},
	{"used memory", number, -1, math.MaxInt64, func(j *Job, v int64) { j.Memory = v }},
	{"requested processors", count, -1, MaxProcs, func(j *Job, v int64) { j.ProcsAsked = v }},
	{"requested time", seconds, -1, maxSeconds, func(j *Job, v int64) { j.Asked = v }},
	{"requested memory", number, -1, math.MaxInt64, func(j *Job, v int64) { j.MemoryAsked = v }},
	{"status", number, -1, math.MaxInt64, func(j *Job, v int64) { j.Status = v }},
	{"user", number, -1, math.MaxInt64, func(j *Job, v int64) { j.User = v }},
	{"group", number, -1, math.MaxInt64, func(j *Job, v int64) { j.Group = v }},
	{"executable", number, -1, math.MaxInt64, func(j *Job, v int64) { j.App = v }},
	{"queue", number, -1, math.MaxInt64, func(j *Job, v int64) { j.Queue = v }},
	{"partition", number, -1, math.MaxInt64, func(j *Job, v int64) { j.Partition = v }},
	{"preceding job", number, -1, math.MaxInt64, func(j *Job, v int64) { j.Preceding = v }},
	{"think time", seconds, -1, maxSeconds, func(j *Job, v int64) { j.ThinkFor = v }},
}

// Load reads a log from a file, which may be packed with gzip. Errors name the file and the line.
func Load(path string) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("swf: %w", err)
	}
	defer f.Close()
	log, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("swf: %s: %w", path, err)
	}
	return log, nil
}

// Read reads a log, which may be packed with gzip. Errors name the line, the column and what would be right.
func Read(r io.Reader) (*Log, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		defer z.Close()
		in = bufio.NewReader(z)
	}
	log := &Log{Header: map[string]string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	n := 0
	for lines.Scan() {
		if n++; n > maxLines {
			return nil, fmt.Errorf("more than %d lines", maxLines)
		}
		if err := log.line(n, strings.TrimSpace(lines.Text())); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes: a job is one line of %d columns", maxLine, len(columns))
		}
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if len(log.Jobs) == 0 {
		return nil, fmt.Errorf("no jobs in %d lines: a job is one line of %d columns", n, len(columns))
	}
	return log, log.size()
}

func (l *Log) line(n int, text string) error {
	switch {
	case text == "":
		return nil
	case text[0] == ';':
		return l.comment(text[1:])
	case len(l.Jobs) >= MaxJobs:
		return fmt.Errorf("more than %d jobs", MaxJobs)
	}
	words := strings.Fields(text)
	if len(words) != len(columns) {
		return fmt.Errorf("%d columns: a job has %d, from job number to think time", len(words), len(columns))
	}
	j := Job{Line: n}
	for i, c := range columns {
		v, ok := parse(words[i])
		if !ok || v < c.least || v > c.most {
			return fmt.Errorf("column %d (%s): %.40q, should be %s", i+1, c.name, words[i], c.want)
		}
		c.set(&j, v)
	}
	l.Jobs = append(l.Jobs, j)
	return nil
}

// parse reads a whole number; of a fraction, which some logs have, the whole part counts.
func parse(word string) (int64, bool) {
	if v, err := strconv.ParseInt(word, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(word, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// comment keeps a header field, "Name: value". Other comments say nothing to programs.
func (l *Log) comment(text string) error {
	name, value, ok := strings.Cut(text, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return nil
	}
	if _, seen := l.Header[name]; seen {
		return nil
	}
	if len(l.Header) >= MaxHeader {
		return fmt.Errorf("more than %d header fields", MaxHeader)
	}
	l.Header[name] = strings.TrimSpace(value)
	return nil
}

// size takes the machine's size from the header.
func (l *Log) size() error {
	for _, name := range []string{"MaxProcs", "MaxNodes"} {
		value, ok := l.Header[name]
		if !ok {
			continue
		}
		word, _, _ := strings.Cut(value, " ")
		procs, ok := parse(word)
		if !ok || procs > MaxProcs {
			return fmt.Errorf("header field %s: %.40q, should be a count of at most %d", name, value, MaxProcs)
		}
		if procs > 0 {
			l.Procs = procs
			return nil
		}
	}
	return nil
}
