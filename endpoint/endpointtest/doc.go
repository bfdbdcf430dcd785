// Package endpointtest holds endpoints to test against: they live in memory,
// keep the promises of package endpoint as strictly as the real services do,
// and go wrong on demand.
//
//	ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
//		Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
//	})
//	ep.FailOn("acme/sdxl:v2", "image pull backoff")
//	ep.OnMutation(func(n int, name string) endpointtest.Fault {
//		if n == 3 {
//			return endpointtest.LostAfter()
//		}
//		return endpointtest.Fault{}
//	})
//
// There are two shapes. [Workers] accepts a new revision at once and replaces
// its workers one by one, as RunPod does. [Variants] serves the old revision
// until an update is done and refuses other changes meanwhile, as SageMaker
// does, autoscaling included.
//
// A fake is a state machine without goroutines and timers: each call first
// brings it up to time.Now(). Inside a testing/synctest bubble hours pass in
// no time and durations are exact; outside it, in real time. All methods are
// safe for concurrent use. Hooks run without a lock, and may call the fake.
//
// What a fake is asked through package endpoint goes through the hooks
// ([Workers.OnMutation], [Workers.OnRead]), takes [Workers.Latency], sees
// [Workers.StaleReads], and is logged ([Workers.Calls]). What a test does to it
// directly goes past all of that; [Workers.Foreign] alone is logged.
//
// # An updater of one's own
//
// Implement [endpoint.Updater] over the provider's client, and those of the
// abilities beside it that the provider has. [Run] then holds it to each
// promise of package endpoint, over a fake of the provider:
//
//	func TestConformance(t *testing.T) {
//		endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
//			fake := myprovider.NewFake()
//			return endpointtest.Subject{
//				Updater:   fake.Endpoint("prod"),
//				To:        endpoint.Revision{Kind: "release", ID: "v2", Artifact: "acme/sdxl:v2"},
//				Mutations: fake.Writes,
//				Lose:      fake.LoseNextAnswer,
//				Blind:     fake.Outage,
//			}
//		}})
//	}
//
// The more a [Subject] can do, the more is tested; the rest is skipped aloud.
// What is hardest to get right is what errors claim: one for which
// [endpoint.Unapplied] is true has to prove that nothing was changed, and one
// that says nothing for certain wraps [endpoint.ErrUnavailable]. That takes
// Lose and Hang. A fake has to be as strict as the provider is, or it proves
// nothing.
//
// The promises are about one call at a time. Whole rollouts over the same fake,
// with a misfortune at each of their writes, are a strategytest.Sweep each, which
// Run takes as [Harness].Sweeps.
package endpointtest
