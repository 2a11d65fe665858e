// Package cell is a cell of real processes on this machine that can be broken: NATS servers, masters and nodes in a folder
// of their own, each behind a link that can be cut, on a disk that can fail, with a clock that can jump. It says who
// leads, and it ends everything that it has started. When the program that has it is killed itself, processes and attempts end
// with it; shims without work leave when they have been idle for their time, and the folder stays.
package cell
