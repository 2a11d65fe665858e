// Package cmd is the command line of troupe: one file a group of commands, each made by newXxxCommand(app).
//
// A command parses its flags, asks a cell through the port api.Cell, and hands the answer to package view. What opens
// or reaches a cell is package compose; App carries it, so that tests put a cell of their own there.
//
// Exit codes: 0 done, 1 the job failed or the cell refused, 2 the command line or the configuration is wrong,
// 130 interrupted.
package cmd
