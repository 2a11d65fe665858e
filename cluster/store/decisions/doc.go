// Package decisions keeps what a master's placer heard and what it said to it, in a bounded ring of files: enough to decide
// the same again (package chaos/replay), and to tell who was placed where, and when.
//
// A file is one segment. It begins with a head and with the placer's first message after a start, so that it stands alone;
// when it is full the placer is asked to begin anew. In it are blocks, each with its length and checksum, which together
// are one gob stream of entries: what passes in a master are plain Go values, and so are the recordings. They are for this
// and the next versions of the program, and not for ever.
package decisions
