package endpointtest

import "net/http"

// Answer is an HTTP answer in place of the provider's.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}
