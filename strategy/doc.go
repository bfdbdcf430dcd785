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
package strategy
