package history

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestF30_WrittenAndReadIsTheSame(t *testing.T) {
	ops := lived(rand.New(rand.NewPCG(1, 1)).IntN, 300, 5, 5)
	var file bytes.Buffer
	w := NewWriter(&file)
	for _, op := range ops {
		if err := w.Add(op); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	again, err := Read(strings.NewReader("\n" + file.String()))
	if err != nil || !slices.Equal(again, ops) {
		t.Fatalf("%d operations come back of %d: %v", len(again), len(ops), err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	fine := `{"client":0,"kind":"status","job":"q/a","call_ns":0,"return_ns":1,"outcome":"absent"}` + "\n"
	for line, want := range map[string]string{
		`{`:            "line 2: not an operation",
		`{"klient":1}`: `unknown field "klient"`,
		`{"client":0,"kind":"status","job":"q/a","call_ns":5,"return_ns":1,"outcome":"absent"}`:                                           "return_ns: 1 is before call_ns, 5",
		`{"client":0,"kind":"look","job":"q/a","call_ns":0,"return_ns":1,"outcome":"absent"}`:                                             `kind: "look" is not known`,
		`{"client":-1,"kind":"status","job":"q/a","call_ns":0,"return_ns":1,"outcome":"absent"}`:                                          "client: -1",
		`{"client":0,"kind":"status","job":"","call_ns":0,"return_ns":1,"outcome":"absent"}`:                                              "job: it is empty",
		`{"client":0,"kind":"status","job":"q/a","call_ns":0,"return_ns":1}`:                                                              "outcome: it is missing",
		`{"client":0,"kind":"status","job":"q/a","call_ns":0,"return_ns":1,"outcome":"done","uid":3,"phase":"odd"}`:                       `phase: "odd" is not a phase`,
		`{"client":0,"kind":"submit","job":"q/a","call_ns":0,"return_ns":1,"outcome":"done","uid":3}`:                                     "key: a submit without a key",
		`{"client":0,"kind":"submit","job":"q/a","call_ns":0,"return_ns":1,"outcome":"done","key":"k"}`:                                   "uid:",
		`{"client":0,"kind":"submit","job":"q/a","call_ns":0,"return_ns":1,"outcome":"absent","key":"k"}`:                                 "never",
		`{"client":0,"kind":"stop","job":"q/a","call_ns":0,"return_ns":1,"outcome":"conflict"}`:                                           "outcome:",
		`{"client":0,"kind":"status","job":"q/a","call_ns":0,"return_ns":1,"outcome":"absent"} {}`:                                        "one a line",
		`{"client":0,"kind":"status","job":"` + strings.Repeat("a", LineMax) + `","call_ns":0,"return_ns":1,"outcome":"absent"}` + "\n\n": "more than 65536 bytes",
	} {
		if _, err := Read(strings.NewReader(fine + line)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line 2") {
			t.Errorf("%.100s: %v, want it to say %q of line 2", line, err, want)
		}
	}
	w := NewWriter(&bytes.Buffer{})
	if err := w.Add(Op{Kind: Status}); err == nil || w.Flush() == nil {
		t.Error("a wrong operation was written")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"client":0,"kind":"submit","job":"q/a","call_ns":0,"return_ns":1,"outcome":"done","key":"k","uid":3,"created":true}`))
	f.Add([]byte(`{"client":0,"kind":"stop","job":"q/a","call_ns":0,"return_ns":1,"outcome":"done","phase":"stopping"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ops, err := Read(bytes.NewReader(data))
		if err != nil || len(ops) > 6 {
			return
		}
		if r := Check(ops, 1e9); r.Ops != len(ops) {
			t.Fatalf("%+v", r)
		}
	})
}
