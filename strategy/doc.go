// Package strategy makes plans: which steps move an endpoint to another revision,
// and which steps bring it back.
//
// A [Strategy] gets the [Facts] that were read of an endpoint and returns a
// [Plan]. It reads and writes nothing itself, so that the same facts always give
// the same plan. [FlushToZero], [AlternatingTemplate], [ScaleProtectedSwap],
// [InPlace] and [CanaryByWeight] are strategies; package rollout carries their
// plans out. A strategy of one's own builds its steps with the methods of Facts.
package strategy
