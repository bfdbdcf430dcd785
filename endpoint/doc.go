// Package endpoint holds the words that the rest of the module speaks: what a
// model-serving endpoint is asked to serve, what it is proven to serve, and
// how it can be changed.
//
// A provider implements [Updater], and as many of the optional abilities
// ([Scaler], [Stager], [Unstager], [Shifter], [Refresher], [AutoscalingSuspender],
// [Drainer], [WorkerInspector], [Resolver], [Preflighter], [DurationEstimator]) as it
// can keep the promise of. Abilities are looked up with [As] and [Need], which see
// through wrappers.
//
// The package imports the standard library only and decides nothing: waiting
// is package waiter's, planning is package strategy's, and carrying a plan out is
// package rollout's.
package endpoint
