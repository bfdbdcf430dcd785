// Package bench compares package waiter with the code of its peers: how late a
// wait notices the end, and what that costs in calls, memory and time. It is a
// module of its own, so that no user of the library downloads the peers.
//
//	TABLE=1 go test -run 'Table|Scale' -v .     # prints both tables (two minutes)
//	UPDATE=1 TABLE=1 go test -run 'Table|Scale' -v .    # writes docs/waiting.md and its plot too
//	go test -run '^$' -bench . -benchmem .      # what a poll, a list and a rollout cost
//
// Plain "go test" checks the targets of the library's own rows, and how they do
// on distributions that the table does not have.
//
// All waits run in virtual time (testing/synctest) on fixed seeds. A status
// call takes 100 ms and the service reads its state half-way; the durations of
// the workloads are assumptions, said in workload_test.go. There are no errors
// and no throttling in it, and nobody's cloud was measured.
package bench
