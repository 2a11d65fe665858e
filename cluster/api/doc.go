// Package api lets any NATS client drive a cell: the micro service "troupe" with one table of endpoints over the port
// Cell, in JSON or protobuf, and the publisher of events.
//
// Subjects are troupe.v1.<cell>.<queue>.<resource>.<verb>[.<id>], see package subject. Every request is answered: with
// the reply, or with a coded error in the headers Nats-Service-Error and Nats-Service-Error-Code and in the body.
package api
