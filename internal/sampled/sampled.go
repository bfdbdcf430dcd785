// Package sampled says how much of a long test is run. By default it is a sample,
// so that all tests together take two minutes; with the environment variable SWEEP
// it is everything, which takes far longer and is what .ci/run does.
//
// Sweeps make much garbage of little that lives: a program that has this package
// collects it a quarter as often as others do, or as GOGC says.
package sampled

import (
	"os"
	"runtime/debug"
)

const gcPercent = 400

func init() { //nolint:gochecknoinits // a test has no other place that runs before all of them
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

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
