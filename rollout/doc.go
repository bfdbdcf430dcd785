// Package strategy moves an endpoint from one revision to the next, safely.
//
//	store, err := strategy.NewFiles("journal")
//	report, err := strategy.Run(ctx, store, endpoint, strategy.FlushToZero{}, strategy.ToRevision("wphkv67a0p"))
//
// A [Strategy] is a pure function from what was read to a [Plan], and the plan
// is data: it can be printed before anything changes ([Preview]), and another
// process can finish it ([Resume]). The plan holds two lists of steps, forward
// and back. Each step sets one thing to one value, or waits for one condition,
// and looks before it writes. Forward contains the commit point.
//
// # What is promised
//
//   - A nil error means that the endpoint was read back serving the target,
//     and every protective value (worker bounds, instance counts, autoscaling)
//     as it was before. What somebody else changed meanwhile is in
//     [Report.Drift], and was left alone.
//   - On failure before the commit point the endpoint serves the source again,
//     with every protective value as before: [endpoint.ErrRolledBack], with
//     the provider's own words. After the commit point it only goes forward.
//   - When the context is done, waiting and writing stop at once. Then the
//     rollout goes back on a budget of its own, or stays as it is if that was
//     asked for ([WithDetach]). A context that is done before the start
//     changes nothing.
//   - When the process dies, the journal and fresh reads decide what is next.
//     A write whose answer nobody saw is looked for, never blindly repeated.
//   - What could not be put right is in [RolloutError.Residue], and stays in
//     the journal: [ErrIncomplete].
//
// Two things are assumed: a read shows a write no later than the settle time
// ([WithSettle]), and the clocks of two drivers differ by less than that.
//
// # The journal
//
// A [Store] is a required argument. [NewFiles] keeps journals in a directory;
// [NewMemory] forgets them with the process, so that a crash cannot be
// resumed. The first record of a rollout, with all original values, is durable
// before the first write, and so is each write's intent before the write.
//
// An unfinished rollout keeps the next one from starting: [ErrUnfinished].
// [Resume] finishes it. Before the commit point it goes back, or forward with
// [WithForward]. In CI, call it first, then Run:
//
//	if _, err := strategy.Resume(ctx, store, endpoint); err != nil { … }
//	report, err := strategy.Run(ctx, store, endpoint, s, target)
//
// [Explain] renders a journal as a timeline with the next action.
//
// # Watching
//
// [WithObserver] gets each [Event] on the rollout's goroutine; [Text] and
// [Slog] are ready-made observers. Nothing is printed otherwise.
//
// # When something goes wrong
//
// What a rollout leaves, by what happens to it:
//
//   - The target does not come up, a step takes too long, a gate fails, the
//     provider refuses: the source, and [endpoint.ErrRolledBack] with the
//     reason.
//   - The context is done (Ctrl-C, a deadline): the same, with the context's
//     error; it takes as long as the way back does. [WithHardStop] stops that
//     too, for a second signal, and [WithDetach] leaves the rollout where it is.
//   - The process dies, or its machine: whatever the last write made of it,
//     until [Resume] is called. The endpoint may be without workers then, if
//     the strategy declares downtime, so resume soon.
//   - An answer is lost, a call is throttled, a read lags, or is never
//     answered, which costs a minute: nothing to be seen.
//     The write is looked for until it is clear what became of it.
//   - The provider keeps refusing to have a value put back: all others are put
//     back, and [ErrIncomplete] names this one. Free what stands in the way
//     (a quota, say) and call Resume, as often as it takes.
//   - The provider itself takes capacity away, because the target does nothing
//     but fail: that is put back, whoever drives by then. It is known from the
//     first look on that shows the failures; before that it may be anybody's.
//   - Somebody else changes the endpoint: their value stays, and is in
//     [Report.Drift]. A change of the very value that is being written, in the
//     moment between the look and the write, or so late before the look that
//     reads do not show it yet, cannot be seen by anybody.
//   - The journal's disk is full: nothing is begun. On the way back it is only
//     mentioned, since all that is still written is on record.
//
// # In CI
//
// A runner keeps nothing, so the journal has to live outside of it: a
// directory that outlasts the job with [NewFiles], or a bucket with the module
// store/s3. Give every job that may touch the endpoint the same store, call
// Resume before Run, and let one more job, which runs after the first however
// that ended, call Resume alone: it ends a rollout whose runner was taken away.
//
// With NewFiles the operating system's lock keeps a second driver out. A
// bucket has no lock that dies with its holder. There, a driver leaves a stamp
// every 15 seconds that it is alive ([Heartbeater]), and Resume refuses to take over
// from one that does: [endpoint.ErrBusy] with its name. One that has been silent
// for 45 seconds and the settle time may be dead, or only asleep, so Resume takes
// the rollout over, waits until the last call of the driver before must be over,
// a minute at most, and the settle time; a driver that wakes after all makes no
// call whose time is over, and stops at its next record.
//
// # An updater of one's own
//
// Implement [endpoint.Updater], and of the abilities beside it those that the
// provider has: a [endpoint.Scaler] for FlushToZero, a [endpoint.Stager] for
// AlternatingTemplate and for targets that do not exist yet, a
// [endpoint.AutoscalingSuspender] for ScaleProtectedSwap. What decides is what errors
// claim: an error for which [endpoint.Unapplied] is true must prove that
// nothing was changed; when in doubt wrap [endpoint.ErrUnavailable].
//
// Prove it over a fake of the provider, with one test: endpointtest.Run. It
// holds the updater to each promise of package endpoint, and runs a
// strategytest.Sweep for each strategy, which lets the process die, answers get
// lost and requests land late at each write of whole rollouts. A [Store] of
// one's own is proved by strategytest.RunStore.
package rollout
