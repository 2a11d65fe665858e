// Package journal is the actor that alone writes the cell's hard state.
//
// Started by: tree ("journal"). Owns: the committed model.State and the log. Promises: an effect leaves only after the
// events that caused it are durable, in the order of the commits; many commits share one append. When full: its
// mailbox refuses, and gateway throttles before that by the bytes waiting here. When the log has no room: what waits is kept,
// within a bound, and tried again every second. When it fails, or another master has written, it escalates: the whole tree
// of this master is torn down; it follows the new leader, or is built again from the log.
//
// Beside the actor: Follower keeps the state of a master that does not lead, Keeper saves snapshots, Recover and Begin start
// a reign, and Log and Snapshots are the ports of what lasts.
package journal
