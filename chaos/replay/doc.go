// Package replay decides over again what a master's placer has decided: a recording (cluster/store/decisions) is handed to
// the production actor, message by message and at the recorded times, and every message that it sends is held against the
// one that it sent then. The first that differs is told with what led to it. With other rules than those of the recording,
// it is the first decision that they would have changed.
package replay
