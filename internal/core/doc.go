// Package core decides what a rollout does next. A [Machine] is a rollout as a
// value: it is folded from the records of a journal, names one operation at a
// time ([Machine.Next]), and takes in what came of it ([Machine.Observe]).
//
// It performs nothing. There is no context, clock, goroutine, I/O or
// randomness in it: the time is an argument, and package rollout has the one
// place that performs operations. So the same journal, results and times lead
// to the same decisions, which package rollouttest explores exhaustively.
//
// From the outside in: machine.go has the loop, step.go what each step of a
// plan consists of, write.go the one sequence that every write goes through,
// wait.go how polls follow each other, find.go what a poll is judged by, record.go
// how records get into the journal, ledger.go what they amount to, course.go how a
// rollout fails and ends.
//
// A machine consists of parts, each with fields of its own: known compares the last
// poll with the journal and decides nothing, signals are what the caller has said,
// task is the step in progress with its wait or write, recorder the records on
// their way, guard the checks and decisions, deadlines the times that end, course
// the way to the end.
package core
