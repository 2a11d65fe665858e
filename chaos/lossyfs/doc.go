// Package lossyfs is a disk that forgets: a file system in memory, mounted by FUSE, on which data counts only once it was
// synced. A power cut takes away everything else, at any moment and without mercy, so that a store which acknowledges too
// early is found out. It can also be slow, full, broken, and lie about its syncs.
//
// What a power cut leaves:
//
//   - Data of a file, and its length, as of the last fsync, fdatasync or msync of that file. A file that was never synced
//     is there with no bytes, if its name is.
//   - Names (what was created, renamed and removed, files and folders) as Options.Names says. Journaled is what ext4, xfs
//     and btrfs do in practice: changes of names go to disk in their order, all that came before with the next sync of
//     anything. Harsh is what POSIX promises and no more: the names in a folder are on disk as of the last fsync of that
//     folder; who renames into another folder must sync both. Eager is kinder to names than any real disk: they are on
//     disk at once, and data is not.
//   - With Cut(torn): of what was written after the last sync some pages, whole or in part, as sectors fall; for a
//     real disk may write anything early.
//
// Nothing that a program wrote is lost when the program is killed: as with any file system, the machine still has it.
//
// A program must not map files of a disk that it serves itself: the Go runtime may stop all goroutines, the ones that
// serve among them, while one waits for a page. Reading and writing is no problem, and what other processes do neither.
package lossyfs
