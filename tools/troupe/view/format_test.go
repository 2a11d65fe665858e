package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(int64(0)), "0 B"}, {Bytes(int64(1023)), "1023 B"}, {Bytes(int64(1024)), "1 KiB"}, {Bytes(uint64(1229)), "1.2 KiB"},
		{Bytes(int64(1<<20 - 1)), "1 MiB"}, {Bytes(int64(64 << 20)), "64 MiB"}, {Bytes(uint64(math.MaxInt64)), "8 EiB"},
		{CPU(0), "0"}, {CPU(250), "0.25"}, {CPU(2000), "2"}, {CPU(10000), "10"}, {CPU(1), "0.001"},
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(uint64(math.MaxUint64)), "18,446,744,073,709,551,615"}, {Count(-1234), "-1,234"},
		{Span(-time.Second), "0s"}, {Span(440 * time.Millisecond), "440ms"}, {Span(time.Microsecond), "1ms"}, {Span(1540 * time.Millisecond), "1.5s"}, {Span(9960 * time.Millisecond), "9s"}, {Span(12 * time.Second), "12s"},
		{Span(185 * time.Second), "3m05s"}, {Span(130 * time.Minute), "2h10m"}, {Span(99 * time.Hour), "4d3h"},
		{Rate(0.25), "0.2/s"}, {Rate(4), "4/s"}, {Rate(4100.4), "4,100/s"}, {Rate(math.Inf(1)), "1,000,000,000,000,000/s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestCleanMakesEscapesHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"plain 数据 é":          "plain 数据 é",
		"\x1b[31mred\x1b[0m":  `\x1b[31mred\x1b[0m`,
		"a\r\nb\tc":           `a\r\nb\tc`,
		"bell\a\x00\x7f":      `bell\x07\x00\x7f`,
		"\u009b31m":           `\u009b31m`,
		"\x9b31m":             `\x9b31m`,
		"\xff":                `\xff`,
		"rtl \u202e gnp.exe":  `rtl \u202e gnp.exe`,
		"tag \U000e0041":      `tag \U000e0041`,
		"really \uFFFD there": "really \uFFFD there",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := CleanText("a\n\tb\x1bc"); got != "a\n\tb\\x1bc" {
		t.Errorf("CleanText keeps line breaks and tabs, got %q", got)
	}
}

// TestCleanerCutAnywhere cuts a stream at every place: the text must be the same, and no half character may become an
// escape.
func TestCleanerCutAnywhere(t *testing.T) {
	text := "héllo 数据 \x1b[1m👩 \xff\xe6 end\xe6\x95"
	want := CleanText(text)
	for cut := range len(text) + 1 {
		var out bytes.Buffer
		c := NewCleaner(&out)
		for _, part := range []string{text[:cut], text[cut:]} {
			if n, err := c.Write([]byte(part)); err != nil || n != len(part) {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("cut at %d: got %q, want %q", cut, out.String(), want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Clean(s) {
			if harmful(r, false) {
				t.Fatalf("%q is left in Clean(%q)", r, s)
			}
		}
	})
}

func TestJSONIsOneLineWithAllFields(t *testing.T) {
	in := &v1.SubmitReply{Queue: "q", Name: "a\x1b\u009b\u202e\U000e0041", Uid: 7}
	var out bytes.Buffer
	if err := JSON(&out, in); err != nil {
		t.Fatal(err)
	}
	want := `{"queue":"q","name":"a\u001b\u009b\u202e\udb40\udc41","uid":"7","created":false,"seq":"0"}` + "\n"
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
	back := &v1.SubmitReply{}
	if err := protojson.Unmarshal(out.Bytes(), back); err != nil || !proto.Equal(in, back) {
		t.Errorf("reads back as %v, %v", back, err)
	}
	out.Reset()
	if err := JSONValue(&out, map[string]string{"a": "\u2028"}); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("JSONValue wrote %q, %v", out.String(), err)
	}
}

func TestMeter(t *testing.T) {
	m := &Meter{}
	if m.PerSecond() != 0 {
		t.Error("a rate without readings")
	}
	for i := range 100 { // two instances a second, then four
		done := uint64(i) * 1000
		if i > 50 {
			done += uint64(i-50) * 1000
		}
		m.Add(start.Add(time.Duration(i)*500*time.Millisecond), done)
	}
	if got := m.PerSecond(); got != 4 {
		t.Errorf("rate %v, want 4: older readings must not count", got)
	}
	if left, ok := m.Left(8000); !ok || left != 2*time.Second {
		t.Errorf("left %v %v, want 2s", left, ok)
	}
	if len(m.samples) > meterSamples {
		t.Errorf("%d samples kept", len(m.samples))
	}
	slow := &Meter{}
	slow.Add(start, 0)
	slow.Add(start.Add(1000*time.Hour), 1)
	if _, ok := slow.Left(math.MaxUint64); ok {
		t.Error("an ETA of ages is no ETA")
	}
}

func TestProgressDrawing(t *testing.T) {
	p := &Progress{}
	early := status()
	early.Counts, early.Instances = counts(65, 23, 2, 0, 0), nil
	p.Update(now.Add(-10*time.Second), early)
	p.Update(now, status())
	golden(t, "progress", strings.Join(p.Lines(0), "\n")+"\n"+p.Line()+"\n")
	for _, line := range p.Lines(40) {
		if Width(line) > 39 {
			t.Errorf("%q does not fit into 40 columns", line)
		}
	}
	ended := status()
	ended.Phase, ended.Counts, ended.Instances, ended.Stages = "succeeded", counts(65, 65, 0, 0, 0), nil, nil
	p.Update(now, ended)
	golden(t, "progress_ended", strings.Join(p.Lines(0), "\n")+"\n"+p.Line()+"\n")
}

func TestProgressOfManyStages(t *testing.T) {
	s := status()
	s.Stages = nil
	for i := range 1000 {
		phase := "blocked"
		if i >= 300 && i < 302 {
			phase = "running"
		}
		s.Stages = append(s.Stages, &v1.StageStatus{Name: fmt.Sprintf("stage-%d", i), Phase: phase, Counts: counts(2, 0, 0, 0, 0)})
	}
	p := &Progress{}
	p.Update(now, s)
	golden(t, "progress_many", strings.Join(p.Lines(0), "\n")+"\n"+p.Line()+"\n")
}

// TestLiveRedrawsInPlace plays the escapes on a little screen.
func TestLiveRedrawsInPlace(t *testing.T) {
	var out bytes.Buffer
	l := NewLive(&out, true)
	l.Draw(now, []string{"one", "two", "three"}, "", false)
	l.Draw(now, []string{"ONE", "TWO"}, "", false)
	io.WriteString(l, "message\x1b[2J")
	l.Draw(now, []string{"1"}, "", true)
	if got, want := screen(t, out.String()), "message\\x1b[2J\n1\n"; got != want {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	l.Clear()
	if got, want := screen(t, out.String()), "message\\x1b[2J\n"; got != want {
		t.Errorf("after Clear the screen shows %q, want %q", got, want)
	}
}

func TestLivePlainLinesAtMostOneASecond(t *testing.T) {
	var out bytes.Buffer
	l := NewLive(&out, false)
	for i := range 50 {
		l.Draw(now.Add(time.Duration(i)*100*time.Millisecond), nil, fmt.Sprintf("at %d", i), i == 49)
	}
	l.Draw(now.Add(5*time.Second), nil, "at 49", true) // said already
	want := "at 0\nat 10\nat 20\nat 30\nat 40\nat 49\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	l = NewLive(&out, false)
	for i := range 40 {
		l.Draw(now.Add(time.Duration(i)*time.Second), nil, "same", false)
	}
	if got := strings.Count(out.String(), "same"); got != 3 {
		t.Errorf("a state that does not change was told %d times in 40 s, want 3", got)
	}
}

// screen plays text with the few escapes that Live uses and returns what is seen.
func screen(t *testing.T, text string) string {
	t.Helper()
	lines, row := []string{""}, 0
	put := func(s string) {
		for len(lines) <= row {
			lines = append(lines, "")
		}
		lines[row] += s
	}
	for len(text) > 0 {
		var n int
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			text, lines = text[3:], lines[:min(len(lines), row+1)]
			lines[row] = ""
		case strings.HasPrefix(text, "\x1b["):
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err != nil {
				t.Fatalf("unknown escape in %q", text)
			}
			row, text = row-n, text[strings.IndexByte(text, 'A')+1:]
		case text[0] == '\r':
			text = text[1:]
			lines[row] = ""
		case text[0] == '\n':
			row, text = row+1, text[1:]
			put("")
			lines[row] = "" // each line is written whole
		default:
			put(text[:1])
			text = text[1:]
		}
	}
	return strings.Join(lines, "\n")
}
