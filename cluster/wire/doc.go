// Package wire is how messages of the cell look on NATS, the same for the API and the agent link: bodies in JSON or
// protobuf, refusals as headers and body, long answers as streams with flow control, and the connection options that
// keep a NATS client from storing up stale writes.
package wire
