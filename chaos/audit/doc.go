// Package audit judges a cell after it was struck, by what several witnesses say: what clients were told, what attempts left in
// the world, what the journal holds, what the cell answers when all is quiet, and what runs on the machine. Each check is one
// promise, counts what it has looked at, and names what broke it. A witness that cannot be heard is no promise kept: what
// could not be checked is counted as zero, and shown.
package audit
