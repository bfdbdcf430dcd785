//go:build race

package sagemaker_test

// raced is true under the race detector, which makes everything some ten times
// slower: long tests look at fewer points then.
const raced = true
