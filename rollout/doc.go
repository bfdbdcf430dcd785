// Package rollout moves an endpoint from one revision to the next, safely.
//
//	store, err := journal.NewFiles("journal")
//	report, err := rollout.Run(ctx, store, endpoint, strategy.FlushToZero{},
//		rollout.ToRevision("wphkv67a0p"), rollout.WithResumeFirst())
//
// A [strategy.Strategy] is a pure function from what was read to a
// [strategy.Plan], and the plan is data: it can be printed before anything changes
// ([Preview]), approved and carried out as it is ([Apply]), and finished by another
// process ([Resume]). The plan holds two lists of steps, forward and rollback. Each
// step sets one thing to one value, or waits for one condition, and polls before it
// writes. Forward contains the commit point.
//
// # Guarantees
//
//   - A nil error means that the endpoint was read back serving the target, with
//     every guarded value (worker bounds, instance counts, autoscaling) as it was
//     before. A value that another party changed is in [Report.Drift], and was left
//     alone.
//   - On failure before the commit point the endpoint serves the source again, with
//     every guarded value as before: [ErrRolledBack], with the provider's own words.
//     After the commit point it only goes forward.
//   - When the context is done, waiting and writing stop at once. Then the rollout
//     rolls back on a budget of its own, or stays as it is if that was asked for
//     ([WithDetach]). A context that is done before the start changes nothing.
//   - When the process dies, the journal and fresh reads decide what is next. A write
//     whose answer was lost is looked up, never blindly repeated.
//   - A value that could not be put back is in [Report.Residue], and stays in the
//     journal: [ErrIncomplete].
//   - An argument or option that means nothing is refused by name before the first
//     request: [ErrRefused] and [endpoint.ErrInvalid].
//
// Two things are assumed: a read shows a write no later than the settle time
// ([WithSettle]), and the clocks of two runners differ by less than that.
//
// # Outcomes
//
// The report is never nil, and an error is an [*Error] with one outcome:
// [ErrRolledBack], [ErrSuperseded], [ErrIncomplete], [ErrDetached] or [ErrRefused].
// They exclude each other, so a program may branch on them in any order:
//
//	switch {
//	case err == nil: // the target is served
//	case errors.Is(err, rollout.ErrRolledBack): // as before
//	case errors.Is(err, rollout.ErrRefused): // nothing was begun
//	default: // report.Residue says what remains
//	}
//
// The cause is in the error too: errors.Is finds [ErrTimeout], [ErrStepTimeout],
// [ErrCheck], [endpoint.ErrUnhealthy] or context.Canceled. What the provider did by
// itself ([ErrRolledBack]) is found in [Cause] only, since it says nothing of
// how the rollout ended.
//
// # The journal
//
// A [journal.Store] is a required argument. [journal.NewFiles] keeps journals in a
// directory; [journal.NewMemory] forgets them with the process, so that a crash cannot
// be resumed. The first record of a rollout, with all original values, is durable
// before the first write, and so is each write's intent before the write.
//
// An unfinished rollout keeps the next one from starting: [ErrUnfinished]. [Resume]
// finishes it. Before the commit point it rolls back, or goes on with [WithForward].
// [Run] with [WithResumeFirst] does both, and [Report.Resumed] says what was found.
//
// [Explain] renders a journal as a timeline with the next action, and [Inspect]
// returns the same as data. When a rollout has ended, the journal is trimmed to the
// newest few ([WithKeep]).
//
// # Observers
//
// [WithObserver] gets each [Event], in order, with the rollout's context; [Text] and
// [Slog] are ready-made observers. An observer that blocks or panics neither stops the
// rollout nor breaks it. Nothing is printed otherwise.
//
// # When something goes wrong
//
//   - The target does not come up, a step takes too long, a check fails, the provider
//     refuses: the source, and [ErrRolledBack] with the reason.
//   - The context is done (Ctrl-C, a deadline): the same, with the context's error; it
//     takes as long as the rollback does. [WithHardStop] stops that too, for a second
//     signal, and [WithDetach] leaves the rollout where it is.
//   - The process dies, or its machine: as the last write left it, until the rollout is
//     resumed. The endpoint may be without workers then, if the strategy declares
//     downtime, so resume soon.
//   - An answer is lost, a call is throttled, a read lags, or is never answered, which
//     costs a minute: no effect on the outcome. The write is looked up until it is
//     clear whether it was made.
//   - The provider keeps refusing to have a value put back: all others are put back, and
//     [ErrIncomplete] names this one. Remove the obstacle (a quota, say) and call
//     Resume, as often as it takes.
//   - The provider itself takes capacity away, because the target does nothing but fail:
//     that is put back, by whichever runner has the rollout then. It is known from the
//     first poll on that shows the failures; before that it may be anyone's.
//   - Another party changes the endpoint: their value stays, and is in [Report.Drift]. A
//     change of the very value that is being written, in the moment between the poll and
//     the write, or so late before the poll that reads do not show it yet, cannot be
//     told apart.
//   - The journal's disk is full: nothing is begun. In a rollback it is only mentioned,
//     since all that is still written is on record.
//
// # In CI
//
// A CI runner keeps nothing, so the journal has to live outside of it: a directory that
// outlasts the job with [journal.NewFiles], or a bucket with the module store/s3. Give
// every job that may touch the endpoint the same store, call Run with
// [WithResumeFirst], and let one more job, which runs after the first however that
// ended, call Resume alone: it ends a rollout whose machine was taken away.
//
// With Files the operating system's lock keeps a second runner out. A bucket has no
// lock that dies with its holder. There a runner leaves a heartbeat every 15 seconds
// ([journal.Heartbeater]), and Resume refuses to take over from one that does:
// [endpoint.ErrBusy] with its name. One that has been silent for 45 seconds and the
// settle time may be dead, or only asleep, so Resume takes the rollout over, waits until
// the last call of the runner before must be over, a minute at most, and the settle
// time; a runner that wakes after all makes no call whose time is over, and stops at its
// next record.
//
// # Other providers
//
// Implement [endpoint.Updater], and of the abilities beside it those that the provider
// has: an [endpoint.Scaler] for FlushToZero, an [endpoint.Stager] for
// AlternatingTemplate and for targets that do not exist yet, an
// [endpoint.AutoscalingSuspender] for ScaleProtectedSwap. An Updater alone can be rolled
// out in place. An error for which [endpoint.Unapplied] is true must prove that nothing
// was changed; when in doubt wrap [endpoint.ErrUnavailable].
//
// Prove it over a fake of the provider, with one test: endpointtest.Run. It holds the
// updater to each promise of package endpoint. A rollouttest.Sweep for each strategy
// lets the process die, answers get lost and requests land late at each write of whole
// rollouts. A store is proved by journaltest.Run.
package rollout
