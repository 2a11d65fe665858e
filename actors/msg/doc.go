// Package msg holds what the actors of one process say to each other: plain Go values, one file for each receiving
// actor. A sent message is frozen: whoever sends it gives it away, whoever receives it does not change it.
// Commands are named in the imperative, facts in the past tense.
//
// The protocols between queue, job, node and placer are state-based: a Want is a target and not an increment, a
// NodeView is all that a node holds. Saying it twice changes nothing, so a lost or repeated message heals by itself.
package msg
