// Package sampled says how much of a long test is run. By default it is a sample,
// so that all tests together take two minutes; with the environment variable SWEEP
// it is everything, which takes far longer and is what .ci/run does.
package sampled

import "os"

// All reports whether everything is run: SWEEP is set.
func All() bool { return os.Getenv("SWEEP") != "" }

// Pairs reports whether every pair of faults is run, which takes hours: SWEEP is
// "pairs".
func Pairs() bool { return os.Getenv("SWEEP") == "pairs" }

// OneIn is n, or 1 if everything is run.
func OneIn(n int) int {
	if All() {
		return 1
	}
	return n
}
