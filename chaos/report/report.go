// Package report tells what became of a run: as JSON for programs, and as one page of HTML for people that needs nothing but
// itself.
package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/troupe-sched/troupe/chaos/audit"
)

// Report is one run. Times are milliseconds since the first fault could strike; what was before is negative.
type Report struct {
	Scenario string `json:"scenario"`
	About    string `json:"about"`
	Seed     uint64 `json:"seed"`
	// Again is the command line that does the same run again.
	Again    string    `json:"again"`
	Begun    time.Time `json:"begun"`
	LengthMS int64     `json:"length_ms"`
	// Passed says that no promise was broken. Stopped says why the run did not come to its end; empty if it did.
	Passed  bool          `json:"passed"`
	Stopped string        `json:"stopped,omitempty"`
	Checks  []audit.Check `json:"checks"`
	Figures Figures       `json:"figures"`
	// Dir is the folder with everything that the cell has kept and written, if it was kept.
	Dir string `json:"dir,omitempty"`

	Faults     []Fault     `json:"faults"`
	Leaders    []Span      `json:"leaders"`
	Parts      []Part      `json:"parts"`
	Operations []Operation `json:"operations,omitempty"`
	Attempts   []Attempt   `json:"attempts,omitempty"`
	Sizes      []Size      `json:"sizes,omitempty"`
}

// Figures are the numbers of a run.
type Figures struct {
	Faults  int `json:"faults"`
	Skipped int `json:"faults_skipped"`
	// Acknowledged submits and those that were never answered.
	Acknowledged int   `json:"submits_acknowledged"`
	Unanswered   int   `json:"submits_unanswered"`
	Lost         int   `json:"submits_lost"`
	Operations   int   `json:"operations"`
	OpP50MS      int64 `json:"operation_p50_ms"`
	OpP99MS      int64 `json:"operation_p99_ms"`
	OpMaxMS      int64 `json:"operation_max_ms"`
	Attempts     int   `json:"attempts"`
	Restarted    int   `json:"attempts_restarted"`
	// NoStartMS is the longest time in which no attempt began, of those in which work was coming.
	NoStartMS int64 `json:"longest_without_a_start_ms"`
	// SilentMS is the longest time in which the cell did not answer what it is.
	SilentMS int64 `json:"longest_without_an_answer_ms"`
	Epochs   int   `json:"epochs"`
	Records  int   `json:"journal_records"`
}

// Fault is one that struck, or was to.
type Fault struct {
	FromMS  int64    `json:"from_ms"`
	ToMS    int64    `json:"to_ms"`
	Text    string   `json:"text"`
	Kind    string   `json:"kind"`
	Parts   []string `json:"parts,omitempty"`
	Skipped string   `json:"skipped,omitempty"`
	Failed  string   `json:"failed,omitempty"`
}

// Span is a time in which something was the same: who led, or whether a process was there.
type Span struct {
	FromMS int64  `json:"from_ms"`
	ToMS   int64  `json:"to_ms"`
	Text   string `json:"text"`
	// Kind is "up", "starting" or "down" of a process, "leads" or "silent" of the cell.
	Kind string `json:"kind"`
}

// Part is one process of the cell and its lives.
type Part struct {
	ID    string `json:"id"`
	Spans []Span `json:"spans"`
}

// Operation is one call of a client.
type Operation struct {
	FromMS int64  `json:"from_ms"`
	ToMS   int64  `json:"to_ms"`
	Kind   string `json:"kind"`
	Err    string `json:"error,omitempty"`
}

// Attempt is one attempt as it told of itself.
type Attempt struct {
	Node   string `json:"node"`
	FromMS int64  `json:"from_ms"`
	// ToMS is 0 if it did not tell of its end.
	ToMS    int64  `json:"to_ms,omitempty"`
	Job     string `json:"job"`
	Index   uint64 `json:"index"`
	Fence   uint64 `json:"fence"`
	Restart bool   `json:"restart,omitempty"`
}

// Size is how large a process was over time, and whether it grows.
type Size struct {
	Part string `json:"part"`
	// What is "memory" in bytes, "goroutines" or "files".
	What    string `json:"what"`
	First   int64  `json:"first"`
	Last    int64  `json:"last"`
	Max     int64  `json:"max"`
	Samples int    `json:"samples"`
	// PerHour is the slope by the median of all pairs, Flat whether that is nothing beside the size itself.
	PerHour int64      `json:"per_hour"`
	Flat    bool       `json:"flat"`
	Points  [][2]int64 `json:"points,omitempty"`
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
