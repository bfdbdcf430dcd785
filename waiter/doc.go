// Package waiter waits until an endpoint is as wanted: one loop, and ready-made
// conditions on top of it.
//
//	status, err := waiter.Ready(ctx, u, want)
//
// The loop polls once, sleeps, and polls again. It never sleeps longer
// because the answer was "not yet"; it backs off on errors, and for as long as
// the provider asks with Retry-After. Only the context, a condition that can
// no longer come true, or an error that is not transient ends a wait: there is
// no built-in limit.
//
// When to poll again is a [Schedule]'s to say. The default, [Learned], polls
// when the end is likely: rarely while nothing can be ready, often when it is
// due, and never more than a minute apart. Give it a [History] ([WithHistory])
// and it learns how long the operation takes on this endpoint and on others,
// and how its stages go. A History can be kept between runs as JSON.
//
// Many waits at once can poll together: a [Shared] lists the account, and only
// what changed is polled by itself ([WithShared]). A source of events can
// cut a sleep short ([WithWake]).
//
// "Ready" means ready and serving what was asked for. A provider that quietly
// goes back to the old revision, or an endpoint that a third party moved on,
// is an error that says so.
package waiter
