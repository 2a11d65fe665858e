// Package journal is the actor that alone writes the cell's hard state.
//
// Started by: tree ("journal"). Owns: the committed model.State and the log. Promises: an effect leaves only after the
// events that caused it are durable, in the order of the commits; many commits share one append. When full: its
// mailbox refuses, and gateway throttles before that by the bytes waiting here. When it fails, or another master has
// written, it escalates: the whole tree of this master is torn down and built again from the log.
package journal
