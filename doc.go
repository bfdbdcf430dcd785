// Package changeover is the map of a library that moves a live model-serving
// endpoint from one revision to the next without leaving it half-changed. This
// package holds documentation only; import the ones below.
//
//	examples → strategy → waiter → endpoint ← runpod, sagemaker
//
// To roll out:
//
//   - [github.com/changeover-dev/changeover/strategy]: plan, journal and
//     runner, and one file for each way to change over. Start here.
//   - [github.com/changeover-dev/changeover/runpod]: RunPod Serverless.
//   - [github.com/changeover-dev/changeover/sagemaker]: Amazon SageMaker, with
//     autoscaling that survives the update.
//   - [github.com/changeover-dev/changeover/waiter]: wait until an endpoint is
//     ready, drained or settled; usable without a strategy.
//   - [github.com/changeover-dev/changeover/endpoint]: the words and the
//     interfaces between the above; what to implement for another provider.
//
// To test:
//
//   - [github.com/changeover-dev/changeover/runpod/runpodtest] and
//     [github.com/changeover-dev/changeover/sagemaker/sagemakertest]: the
//     strict providers in process, for programs that use the packages above.
//   - [github.com/changeover-dev/changeover/endpoint/endpointtest]: endpoints
//     in memory that fail on demand, and the promises that an Updater of your
//     own is held to.
//   - [github.com/changeover-dev/changeover/journal/journaltest] and
//     [github.com/changeover-dev/changeover/rollout/rollouttest]: the same for
//     stores, and the sweep of faults for whole rollouts.
//
// # Which strategy
//
//   - in-place: the provider rolls the workers. No downtime, but RunPod's
//     rolling release is not guaranteed to converge; if it does not, the
//     rollout goes back.
//   - flush-to-zero: every worker is gone before the first new one starts. It
//     always converges, and it is downtime.
//   - alternating-template: two templates take turns. No downtime, and the way
//     back is one write.
//   - scale-protected: for endpoints whose provider scales them. Autoscaling
//     is frozen while the revision changes, and put back exactly.
package changeover
