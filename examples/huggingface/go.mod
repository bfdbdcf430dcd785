module github.com/changeover-dev/changeover/examples/huggingface

go 1.25.0

require github.com/changeover-dev/changeover v0.0.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/gofrs/flock v0.13.1 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/changeover-dev/changeover => ../../
