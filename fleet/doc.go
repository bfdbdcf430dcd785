// Package fleet moves many endpoints to a new revision: in waves, within a
// budget of failures, by one scheduler.
//
// Each member of a [Fleet] is moved by a rollout of its own, with a journal of
// its own, that package rollout would resume as any other; the fleet adds the
// order. [Run] begins a fleet, or goes on with it: from another process, on
// another machine, after a crash at any moment. The members' journals say how far
// each of them is, by the label in their plans. The fleet's own journal, under
// the name "fleet/" and the fleet's ID in the same store, says which members have
// ended, which waves have passed, what was decided, and whether the budget was
// breached.
//
// A wave begins its members, so many at once, waits until all have ended, watches
// for a while (its soak), asks its checks and waits for its approval. Then the
// next one begins. If more members fail than the [Budget] allows, nothing more
// begins, and the fleet stops or rolls back what was done, newest first.
//
// An engine that has means of its own to wait and to make calls, as a durable workflow
// has, goes on with a fleet by [Advance], and moves its members by a [Mover] each.
//
// In Run one goroutine schedules; a bounded number of others make the calls. A member
// that waits is an entry in a heap of timers, so that ten thousand of them wait
// in one process.
package fleet
