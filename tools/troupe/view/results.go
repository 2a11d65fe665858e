package view

import (
	"bytes"
	"fmt"
	"strings"

	v1 "github.com/troupe-sched/troupe/protos/v1"
)

// Result of one instance, with the stage that it belongs to.
type Result struct {
	Stage string
	*v1.InstanceResult
}

// Results writes results under one another: "stage/index", then the text, its further lines indented. most bounds the
// bytes shown of each; 0 means all.
func Results(p *Page, results []Result, most int) {
	names, width := make([]string, len(results)), 0
	for i, r := range results {
		names[i] = Clean(fmt.Sprintf("%s/%d", r.Stage, r.GetIndex()))
		width = max(width, Width(names[i]))
	}
	for i, r := range results {
		data, cut := r.GetData(), 0
		if most > 0 && len(data) > most {
			cut = len(data) - most
			data = data[:most]
		}
		for n, line := range strings.Split(resultText(data), "\n") {
			name := ""
			if n == 0 {
				name = names[i]
			}
			p.Line("%s", strings.TrimRight(pad(name, width, false)+"  "+line, " "))
		}
		if cut > 0 {
			p.Line("%s  … %s more", pad("", width, false), Bytes(int64(cut)))
		}
	}
}

// resultText makes a result readable. Data with a zero byte is no text: it shows as its size.
func resultText(data []byte) string {
	if bytes.IndexByte(data, 0) >= 0 {
		return "(binary, " + Bytes(int64(len(data))) + ")"
	}
	text := CleanText(strings.TrimRight(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"))
	return strings.ReplaceAll(text, "\t", "    ")
}
