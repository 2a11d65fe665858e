package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"github.com/troupe-sched/troupe/chaos/audit"
)

const nasty = `<script>alert("x")</script>&'` + "\x00\u202e"

// sample has one of everything, with names that could break a page.
func sample() *Report {
	return &Report{
		Scenario: "停电 " + nasty, About: "機械が死ぬ " + nasty, Seed: 7, Again: "troupe chaos run x --seed 7", Begun: time.Unix(1_700_000_000, 0), LengthMS: 20_000,
		Checks: []audit.Check{
			{Name: "kept", Promise: "it is kept", Checked: 3}, {Name: "unseen", Promise: "nobody saw it", Note: nasty},
			{Name: "broken", Promise: nasty, Checked: 3, Broken: 1, Violations: []string{nasty}},
		},
		Figures: Figures{Acknowledged: 11},
		Faults: []Fault{
			{FromMS: 1000, ToMS: 3000, Kind: "kill", Text: "kill " + nasty, Parts: []string{nasty}},
			{FromMS: 2000, ToMS: 4000, Kind: "stop", Text: "stop", Failed: nasty}, {FromMS: 9000, ToMS: 9000, Text: "skipped one", Skipped: nasty},
		},
		Leaders:    []Span{{FromMS: -100, ToMS: 1000, Text: "master-1 epoch 1", Kind: "leads"}, {FromMS: 1000, ToMS: 2000, Text: "no answer", Kind: "silent"}, {FromMS: 2000, ToMS: 20_000, Text: "主节点二号主节点二号主节点二号", Kind: "leads"}},
		Parts:      []Part{{ID: "主节点主节点主节点主节点" + nasty, Spans: []Span{{FromMS: 0, ToMS: 20_000, Text: nasty, Kind: "up"}}}},
		Operations: []Operation{{FromMS: 5, ToMS: 9, Kind: "submit"}, {FromMS: 5000, ToMS: 9000, Kind: "stop", Err: nasty}},
		Attempts:   []Attempt{{Node: nasty, FromMS: 1, ToMS: 500, Job: nasty}, {Node: nasty, FromMS: 2, Job: "作业", Restart: true}},
		Sizes:      []Size{{Part: "master-1", What: "memory", First: 1 << 20, Last: 2 << 20, Max: 2 << 20, PerHour: 5, Flat: true, Points: [][2]int64{{0, 1 << 20}, {1000, 2 << 20}}}},
	}
}

func page(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestThePageNeedsNothingAndEscapesAll(t *testing.T) {
	text := page(t, sample())
	for _, wrong := range []string{"<script", "ZgotmplZ", "\x00", "http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(text, wrong) {
			t.Errorf("the page has %q", wrong)
		}
	}
	for _, want := range []string{"停电", "troupe chaos run x --seed 7", "1 of 3 promises were broken", "prefers-color-scheme: dark", "&lt;script&gt;", "not done:", "2.0 MiB"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestEveryDrawingIsWellFormed(t *testing.T) {
	for _, r := range []*Report{sample(), {}, {LengthMS: 1}, {LengthMS: 100 * time.Hour.Milliseconds(), Stopped: "interrupted"}} {
		drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page(t, r), -1)
		if len(drawings) == 0 {
			t.Fatal("there is no drawing")
		}
		for _, drawing := range drawings {
			d := xml.NewDecoder(strings.NewReader(drawing))
			for {
				token, err := d.Token()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("%v in %.300s", err, drawing)
				}
				if e, ok := token.(xml.StartElement); ok {
					for _, a := range e.Attr {
						if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || strings.HasPrefix(a.Value, "-") && a.Name.Local == "width" {
							t.Fatalf("%s=%q", a.Name.Local, a.Value)
						}
					}
				}
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	if text := page(t, &Report{Passed: true}); !strings.Contains(text, "Every promise was kept") {
		t.Error("a run that passed does not say so")
	}
	if text := page(t, &Report{Stopped: "interrupted"}); !strings.Contains(text, "did not come to its end: interrupted") {
		t.Error("a run that was stopped does not say so")
	}
}

func TestManyAttemptsAreBounded(t *testing.T) {
	r := &Report{LengthMS: 1000}
	for range 3 * lanesMax {
		r.Attempts = append(r.Attempts, Attempt{Node: "n", FromMS: 1, ToMS: 999})
	}
	if c := draw(r); c.Dropped != 2*lanesMax {
		t.Errorf("%d attempts have no lane", c.Dropped)
	}
}

func TestFitKeepsWideLettersWithin(t *testing.T) {
	for _, text := range []string{"master-1", "主节点二号", "a主b节c", "👩‍👩‍👧 family", ""} {
		for columns := 1; columns < 12; columns++ {
			got := fit(text, columns)
			if w := uniseg.StringWidth(got); w > columns {
				t.Errorf("%q in %d columns is %q, %d wide", text, columns, got, w)
			}
			if uniseg.StringWidth(text) <= columns && got != text {
				t.Errorf("%q fits in %d columns, and is %q", text, columns, got)
			}
		}
	}
}

func TestJSONComesBack(t *testing.T) {
	var b bytes.Buffer
	if err := sample().JSON(&b); err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(b.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Seed != 7 || len(r.Checks) != 3 || r.Faults[0].FromMS != 1000 || r.Figures.Acknowledged != 11 || r.Checks[2].Violations[0] != nasty {
		t.Errorf("it comes back as %+v", r)
	}
}
