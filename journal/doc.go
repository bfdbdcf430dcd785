// Package journal keeps the records of rollouts.
//
// A journal is the history of one endpoint: a list of records, numbered 1, 2,
// 3 … without a gap. A rollout appends what it is about to do before it does
// it, and the result afterwards, so that another process can finish it from the
// records alone. Each record carries a checksum and the checksum of the record
// before it: [Load] refuses a journal in which one was changed, lost or
// exchanged, and its [ReadError] still has the records before the damage.
//
// # Stores
//
// A [Store] has two methods. Append fails with [ErrConflict] if the number is
// taken, and that is the fence between two runners: one of them gets the number
// and the other one stops.
//
//   - [Files] keeps one file per endpoint in a directory. Its lock is the
//     operating system's. All runners of an endpoint run on one machine.
//   - [Memory] forgets with the process.
//   - store/s3 keeps one object per record, and store/postgres one row. Both
//     are modules of their own, for runners that lose their disks or that run
//     on several machines.
//
// package journaltest holds any other store to the same promises.
//
// # Abilities
//
// What a store can do besides is found by [As]: a [Locker] proves that no
// other runner is alive, a [Leaser] keeps others out while it is connected, a
// [Heartbeater] shows that a runner is alive, a [Tailer] returns the newest
// records only, a [Lister] lists the journals, a [Trimmer] shortens them, and
// an [Attacher] keeps a small document beside a rollout.
//
// No record holds a secret.
package journal
