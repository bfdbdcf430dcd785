// Package rollouttest holds what proves an endpoint together with a strategy to
// be safe.
//
// A [Sweep] runs a rollout over an endpoint, again and again, with another
// fault each time, at each write and at each read. Hours pass in no time, and a
// death is a panic that the sweep catches before it resumes:
//
//	func TestSweep(t *testing.T) {
//		rollouttest.Sweep{
//			New: func(t testing.TB) rollouttest.Environment {
//				fake := myprovider.NewFake()
//				wire := &endpointtest.Wire{Service: fake, Write: myprovider.Describe}
//				return rollouttest.Environment{
//					Updater: myprovider.New("prod", wire.Client()),
//					OnWrite: wire.OnWrite,
//					Applied: wire.Applied,
//					Guarded: func() any { return fake.Bounds() },
//					Live:    func() string { return fake.Image() },
//				}
//			},
//			Strategy: strategy.InPlace{}, Target: rollout.ToRevision("v2"), Goal: "acme/sdxl:v2",
//		}.Run(t)
//	}
//
// The faults are [endpointtest.Fault]s. A fault that an environment is asked for
// and does not make happen fails the point: nothing would be shown by it.
package rollouttest
