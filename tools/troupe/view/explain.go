package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Explain writes why a job stands where it stands: the sentence first, then for each stage what refuses it, who is ahead,
// what would help, and where its slots are and why.
func Explain(p *Page, r *v1.ExplainReply) {
	p.Line("%s", Clean(r.GetSummary()))
	for _, s := range r.GetStages() {
		p.Line("")
		p.Line("%s", Clean("stage "+s.GetStage()))
		explainStage(p, s)
	}
}

func explainStage(p *Page, s *v1.StageExplain) {
	line := func(name, text string) {
		if text != "" {
			p.Line("  %s %s", pad(name, 9, false), Clean(text))
		}
	}
	line("summary", s.GetSummary())
	line("slots", fmt.Sprintf("%s wanted, %s held", Count(s.GetWantedSlots()), Count(s.GetHeldSlots())))
	line("waits for", s.GetWaitsFor())
	if at := s.GetExpectedUnixMs(); at > 0 {
		line("expected", time.UnixMilli(at).In(p.Now.Location()).Format(time.RFC3339)+" (in "+Span(time.UnixMilli(at).Sub(p.Now))+")")
	}
	line("nodes", fmt.Sprintf("%s in the cell, %s could take one more", Count(s.GetNodes()), Count(s.GetNodesFit())))
	for _, f := range s.GetRefusals() {
		line("refused", strings.TrimSuffix(fmt.Sprintf("%s by %s: %s", plural(f.GetNodes(), "node"), f.GetFilter(), f.GetDetail()), ": "))
	}
	if s.GetAhead() > 0 {
		line("ahead", plural(s.GetAhead(), "slot")+" of demands that go before it")
	}
	for _, a := range s.GetAheadOf() {
		line("", fmt.Sprintf("%s for %s/%s, stage %s (%s/%d)", plural(a.GetWaitingSlots(), "slot"), a.GetQueue(), a.GetJob(), a.GetStage(), a.GetBand(), a.GetRank()))
	}
	remedies := s.GetRemedies()
	if len(remedies) == 0 && s.GetRemedy() != "" {
		remedies = []string{s.GetRemedy()}
	}
	name := "remedy"
	for _, remedy := range remedies {
		line(name, remedy)
		name = "or"
	}
	held := make([]string, len(s.GetHeld()))
	for i, n := range s.GetHeld() {
		held[i] = fmt.Sprintf("%s (%s)", n.GetNode(), Count(n.GetSlots()))
	}
	line("held on", strings.Join(held, ", "))
	for _, score := range s.GetScores() {
		line("score", scoreText(score))
	}
}

// scoreText writes a score and its parts: "node-a 812: hybrid 700, packages 112".
func scoreText(s *v1.NodeScore) string {
	parts := make([]string, 0, len(s.GetParts()))
	for _, name := range slices.Sorted(maps.Keys(s.GetParts())) {
		parts = append(parts, name+" "+Count(s.GetParts()[name]))
	}
	return strings.TrimSuffix(fmt.Sprintf("%s %s: %s", s.GetNode(), Count(s.GetTotal()), strings.Join(parts, ", ")), ": ")
}
