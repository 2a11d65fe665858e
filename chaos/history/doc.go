// Package history writes down what clients of a cell asked and were told, and judges whether one cell without any fault
// could have told them the same: whether the API is linearizable, job by job. A history is a file of JSON lines, one
// operation each, so that any program in any language can write one.
//
// What is promised of one job name, and therefore checked: an acknowledged submit is there for whoever asks later; one
// key makes one job; uids of a name only grow; nobody is told of a job, a stop or an end that never was; a stop that was
// acknowledged is seen from then on; an end is final. An operation whose outcome the client never learned may have
// happened at any time after it was begun, or not at all.
package history
