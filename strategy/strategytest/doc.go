// Package strategytest holds what proves a store, or an endpoint together
// with a strategy, to be safe.
//
// [RunStore] holds a [strategy.Store] to what its documentation promises:
//
//	func TestStore(t *testing.T) {
//		strategytest.RunStore(t, strategytest.StoreHarness{
//			New:    func(t testing.TB) strategy.Store { return mystore.New(t.TempDir()) },
//			Reopen: func(t testing.TB, s strategy.Store) strategy.Store { return mystore.New(s.(*mystore.Store).Dir()) },
//		})
//	}
package strategytest
