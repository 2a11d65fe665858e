// Package view turns answers of a cell into what people read on a page (tables, trees, bars) and what programs read
// (one JSON document). It knows no commands and asks nothing: values in, bytes out, so that every page has a golden file.
//
// Everything foreign (names, reasons, results, task output) is made harmless before it reaches a terminal, and columns
// are aligned by the width that a terminal gives to a character, so that CJK text stands straight.
package view
