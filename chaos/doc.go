// Package chaos breaks a cell of real processes on purpose, and judges whether it has kept its promises: the harness behind
// "troupe chaos run", for any Go program.
//
// A run opens a cell in a folder of its own, gives it work, strikes it with the faults of a scenario (package scenario), lets it
// come to rest, and then hears all witnesses (package audit). Its report (package report) holds every check with counts, a
// timeline, and the line that does it again.
//
// A program that embeds Troupe tests itself by naming itself as Options.Program: it must understand the subcommands "master"
// and "node" with the flags that the program troupe gives them, "shim" behind its slots, and "chaos nats" if the scenario has
// NATS servers; and it must say that it is up as package proc asks for. Parts of the harness are of use alone: package
// link for networks that fail, package history for what clients were told, package audit for journals.
package chaos
