// Package crowd lets many clients ask a cell over its real API, all at once and about the same few jobs, while its journal
// is slow and fails, its master is torn down and rebuilt, resigns or is stalled while another takes over; and judges what
// they were told by package history. The cell is in this process and its agents are hollow, so that a thousand such
// histories take minutes.
package crowd
