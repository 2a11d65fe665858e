// Package proc runs the processes of a cell on this machine: it starts them, waits for the line in which they say that they
// are up, stops and kills them, and starts them again when they die unasked, as a service manager would. It ends only
// processes that it has started, and what they have started in its own folder.
//
// A process says that it is up by one line of JSON on its standard output, whose fields nats and http are where it is
// reached; "troupe master --json" does, and so can any program that embeds a cell.
package proc
