// Package backfill decides about waiting: in which order work waits, what is kept for the work that waits longest, what may
// start ahead of it without making it wait longer, and how long work will probably run.
//
// The rule is EASY backfilling (Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995; Mu'alem and Feitelson,
// "Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2 with backfilling", TPDS
// 2001), told for many nodes with resources of several kinds. The demand at the head of the order that does not fit now gets
// a reservation: the earliest time at which it would fit, and where. A demand behind it starts now if it ends by then, or if
// it takes only what is left beside the reservation. With one node and one resource this is the classic rule to the letter.
//
// Everything is plain values and integers. Times and durations are milliseconds on one clock of the caller's choice.
package backfill
