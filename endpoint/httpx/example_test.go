package httpx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/httpx"
)

// A provider's method is one request, and the endpoint's name around its error.
func Example() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"error":"slow down"}`))
	}))
	defer srv.Close()

	api := &httpx.Client{
		URL:       srv.URL + "/v2/endpoint",
		Authorize: func(h http.Header) { h.Set("Authorization", "Bearer hf_example") },
		Explain:   httpx.ExplainJSON("error"),
	}
	update := func(ctx context.Context, name, image string) error {
		body := map[string]string{"image": image}
		return endpoint.Wrap("update", "example/"+name, api.Do(ctx, http.MethodPut, url.PathEscape(name), body, nil))
	}
	err := update(context.Background(), "demo", "acme/demo:v2")
	fmt.Println(err)
	fmt.Println(errors.Is(err, endpoint.ErrThrottled), endpoint.Unapplied(err), endpoint.RetryAfter(err))
	// Output:
	// update example/demo: 429 Too Many Requests: slow down
	// true true 7s
}
