// Package journaltest holds a store of journals to the promises of package
// journal, one subtest each. When one is broken, the subtest says what goes
// wrong for a user:
//
//	func TestStore(t *testing.T) {
//		journaltest.Run(t, journaltest.Harness{
//			New:    func(t testing.TB) journal.Store { return mystore.New(t.TempDir()) },
//			Reopen: func(t testing.TB, s journal.Store) journal.Store { return mystore.New(s.(*mystore.Store).Dir()) },
//		})
//	}
//
// The subtests of what the store cannot do are skipped, and say what a user of
// the store goes without.
package journaltest
