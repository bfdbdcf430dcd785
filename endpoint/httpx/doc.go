// Package httpx is what an [endpoint.Updater] over HTTP needs besides its own
// API: one request and its answer, with the answer classified in the words of
// package endpoint.
//
//	api := &httpx.Client{
//		URL:       "https://api.example.com/v1",
//		Authorize: func(h http.Header) { h.Set("Authorization", "Bearer "+token) },
//		Explain:   httpx.ExplainJSON("message", "error"),
//	}
//	err := api.Do(ctx, http.MethodPut, "endpoints/"+url.PathEscape(name), body, &answer)
//
// A [Client] sends each request once. It never follows a redirect, so that a key
// does not reach another host, and gives net/http no body that it could send
// again. It reads answers up to a limit. Errors are
//
//   - the context's, and its cause, if that is done,
//   - a [*ResponseError] for what was answered, which is one of package endpoint's
//     conditions,
//   - [endpoint.ErrUnavailable] for everything in between.
//
// An answer proves who sent it: a refusal without the provider's own words, such
// as the page of a gateway, is [endpoint.ErrUnavailable] and never "not found"
// or "invalid". The one that reads the words is the provider's [Client.Explain].
//
// A server may ask to be left alone, in seconds or until a date (Retry-After), or
// by the windows of its rate limit. See [Limits].
//
// The package imports the standard library and package endpoint only.
package httpx
