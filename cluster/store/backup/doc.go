// Package backup is the form in which the hard state of a cell leaves it: a stream of v1.BackupFrame, each behind its
// length. A head says what there is, then come the entries of a snapshot, the records of the journal as they were
// written, and a tail with the number of both and a hash over all that was before it.
//
// Take makes the frames of a log and its snapshots, Encoder and Decoder turn them into bytes and back, and an Inspector
// holds whatever produces frames against all that can be known: the checksums and the chain of the records, that the
// snapshot belongs to them, that they replay, and that a replay from the first record gives the snapshot byte for byte.
package backup
