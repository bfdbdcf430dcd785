// Package strategytest holds what proves a store, or an endpoint together
// with a strategy, to be safe.
//
// [Run] holds a [strategy.Store] to what its documentation promises:
//
//	func TestStore(t *testing.T) {
//		strategytest.RunStore(t, strategytest.StoreHarness{
//			New:    func(t testing.TB) strategy.Store { return mystore.New(t.TempDir()) },
//			Reopen: func(t testing.TB, s strategy.Store) strategy.Store { return mystore.New(s.(*mystore.Store).Dir()) },
//		})
//	}
//
// A [Sweep] runs a rollout over an endpoint, again and again, with another
// misfortune each time, at each write and at each read. Hours pass in no time,
// and a death is a panic that the sweep catches before it resumes:
//
//	func TestSweep(t *testing.T) {
//		strategytest.Sweep{
//			New: func(t testing.TB) strategytest.World {
//				fake := myprovider.NewFake()
//				return strategytest.World{
//					Updater:    fake.Endpoint("prod"),
//					OnMutation: func(hook func(what string) strategytest.Fault) {
//						fake.BeforeWrite(func(what string) { fake.Befall(hook(what)) })
//					},
//					Applied:    func(n int) bool { return fake.Write(n).Applied },
//					Protective: func() any { return fake.Bounds() },
//					Live:       func() string { return fake.Image() },
//				}
//			},
//			Strategy: strategy.InPlace{}, Target: strategy.ToRevision("v2"), Goal: "acme/sdxl:v2",
//		}.Run(t)
//	}
package rollouttest
