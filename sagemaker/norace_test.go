//go:build !race

package sagemaker_test

const raced = false
