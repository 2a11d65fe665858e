package swf

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
)

const sample = `; Version: 2.2
; MaxProcs: 100
; Note: one
; Note: two
;
 1 0 5 100 8 -1 -1 16 200 -1 1 7 2 -1 0 -1 -1 -1

 2 10 -1 300.9 4 12.5 -1 -1 200 -1 0 8 2 -1 0 -1 1 60
 3 12 -1 -1 4 -1 -1 4 -1 -1 5 8 2 -1 0 -1 -1 -1
 4 13 -1 9 101 -1 -1 -1 -1 -1 1 -1 2 -1 0 -1 -1 -1
 5 14 -1 9 4 -1 -1 4 -1 -1 1 9 2 -1 0 -1 -1 -1
`

func TestX3_ReadsPlainAndPacked(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(sample)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"plain": sample, "packed": packed.String()} {
		log, err := Read(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if log.Procs != 100 || len(log.Jobs) != 5 || log.Header["Note"] != "one" || log.Header["Version"] != "2.2" {
			t.Errorf("%s: %d processors, %d jobs, header %v", name, log.Procs, len(log.Jobs), log.Header)
		}
		want := Job{
			Line: 8, ID: 2, Submit: 10, Wait: -1, Run: 300, Procs: 4, CPU: 12, Memory: -1, ProcsAsked: -1, Asked: 200,
			MemoryAsked: -1, Status: 0, User: 8, Group: 2, App: -1, Queue: 0, Partition: -1, Preceding: 1, ThinkFor: 60,
		}
		if log.Jobs[1] != want {
			t.Errorf("%s: got  %+v\nwant %+v", name, log.Jobs[1], want)
		}
		jobs, left := log.Rigid(log.Procs)
		if got := fmt.Sprint(jobs); left != 2 || got != "[{1 0 100 16 200 7} {2 10 200 4 200 8} {5 14 9 4 0 9}]" {
			t.Errorf("%s: rigid jobs %s, %d left out", name, got, left)
		}
	}
}

func TestX3_BadLinesSayWhatWouldBeRight(t *testing.T) {
	row := func(column int, word string) string {
		words := strings.Fields("1 0 5 100 8 -1 -1 16 200 -1 1 7 2 -1 0 -1 -1 -1")
		words[column-1] = word
		return "; MaxProcs: 8\n" + strings.Join(words, " ") + "\n"
	}
	for _, test := range []struct{ text, want string }{
		{row(2, "-1"), `line 2: column 2 (submit time): "-1", should be seconds of at least 0`},
		{row(4, "fast"), `line 2: column 4 (run time): "fast", should be seconds, or -1 if unknown`},
		{row(4, "NaN"), `line 2: column 4 (run time): "NaN", should be`},
		{row(8, "99999999999"), `line 2: column 8 (requested processors): "99999999999", should be a count`},
		{row(9, "-7"), `line 2: column 9 (requested time): "-7", should be seconds, or -1 if unknown`},
		{row(18, ""), "line 2: 17 columns: a job has 18"},
		{row(18, "1 2"), "line 2: 19 columns: a job has 18"},
		{row(18, strings.Repeat("1 ", maxLine)), "line 2: longer than 65536 bytes"},
		{"; MaxProcs: many\n" + row(1, "1"), `header field MaxProcs: "many", should be a count`},
		{"; only a header\n", "no jobs in 1 lines"},
		{"", "no jobs in 0 lines"},
		{"\x1f\x8bnonsense", "gzip"},
	} {
		if _, err := Read(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: %v, want %s", test.text, err, test.want)
		}
	}
	if _, err := Load(t.TempDir() + "/none.swf"); err == nil || !strings.Contains(err.Error(), "none.swf") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestX3_SizeFromNodesIfNothingElse(t *testing.T) {
	row := "1 0 5 100 8 -1 -1 16 200 -1 1 7 2 -1 0 -1 -1 -1\n"
	for header, want := range map[string]int64{"; MaxNodes: 64\n": 64, "; MaxProcs: -1\n; MaxNodes: 64 thin\n": 64, "": 0} {
		if log, err := Read(strings.NewReader(header + row)); err != nil || log.Procs != want {
			t.Errorf("%q: %v, %v, want %d processors", header, log, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		log, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		jobs, left := log.Rigid(log.Procs)
		if len(jobs)+left != len(log.Jobs) {
			t.Errorf("%d and %d of %d jobs", len(jobs), left, len(log.Jobs))
		}
		for _, j := range jobs {
			if j.Run < 0 || j.Procs < 1 || j.Procs > log.Procs || j.Submit < 0 || j.Stated < 0 || j.Stated > 0 && j.Run > j.Stated {
				t.Errorf("%+v cannot be played", j)
			}
		}
	})
}
