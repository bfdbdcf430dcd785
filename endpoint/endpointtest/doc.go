// Package endpointtest holds endpoints to test against: they live in memory,
// keep the promises of package endpoint as strictly as the real services do,
// and fail on demand.
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
// until an update is done and refuses other changes until then, as SageMaker
// does, autoscaling included.
//
// A fake is a state machine without goroutines and timers: each call first
// brings it up to time.Now(). Inside a testing/synctest bubble hours pass in
// no time and durations are exact; outside it, in real time. All methods are
// safe for concurrent use. Hooks run without a lock, and may call the fake.
//
// What a fake is asked through package endpoint goes through the hooks
// ([Workers.OnMutation], [Workers.OnRead]), sees [Workers.StaleReads], and is
// logged ([Workers.Calls]). What a test does to it
// directly goes past all of that; [Workers.Foreign] alone is logged.
//
// # Faults
//
// A [Fault] is what goes wrong with one call: refused, throttled, lost before or
// after its effect, late, forgotten, hanging, or answered by garbage. It is one
// vocabulary for every kit.
//
// # Testing an updater
//
// Implement [endpoint.Updater] over the provider's client, and those of the
// abilities beside it that the provider has. [Run] then holds it to each
// promise of package endpoint, over a fake of the provider. For a provider over
// HTTP the fake is an [http.Handler], and a [Wire] to it has the rest:
//
//	func TestConformance(t *testing.T) {
//		h := endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
//			fake := myprovider.NewFake()
//			wire := &endpointtest.Wire{Service: fake, Write: func(r *http.Request, body []byte) string {
//				if r.Method == http.MethodGet {
//					return ""
//				}
//				return r.Method + " " + r.URL.Path + " " + string(body)
//			}}
//			return endpointtest.Subject{
//				Updater: myprovider.New("prod", wire.Client()), Wire: wire,
//				To:      endpoint.Revision{Kind: "release", ID: "v2", Artifact: "acme/sdxl:v2"},
//				Actual:  fake.Actual,
//				BreakTarget:   func() { fake.Break("v2") },
//			}
//		}}
//		endpointtest.Run(t, h)
//		endpointtest.RunAnswers(t, h)
//	}
//
// The more a [Subject] can do, the more is tested; the rest is skipped, and the
// log says what is not tested. The errors and the status are the hardest to get
// right. An error for which [endpoint.Unapplied] is true has to prove that
// nothing was changed, and one that says nothing for certain wraps
// [endpoint.ErrUnavailable]: that takes DropResponse and
// HangResponse, or a Wire. Every claim of
// a status has to be true of the endpoint: that takes Actual, which says what
// its capacity really runs. A fake has to be as strict as the provider is, or it
// proves nothing.
//
// The promises are about one call at a time. Whole rollouts over the same fake,
// with a fault at each of their writes, are a rollouttest.Sweep each, which Run
// takes as [Harness].Sweeps. The module examples/huggingface is a whole provider.
package endpointtest
