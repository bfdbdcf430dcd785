package rollout

// WithLabel names the work that the rollout is part of, such as a fleet. The
// label is in the plan, at most 256 bytes, and decides nothing. The default is
// none.
func WithLabel(label string) Option { return func(o *options) { o.label = label } }

// WithNotify calls f when the poller of [WithShared] sees a change of the
// endpoint: an engine that drives [Rollout.Advance] then calls [Rollout.Wake],
// and Advance at once, in place of one goroutine for each rollout that waits.
// f is called from other goroutines, must not block, and may be called after the
// rollout has ended.
func WithNotify(f func()) Option {
	return func(o *options) { o.need("WithNotify", "function", f); o.notify = f }
}

// Wake says that something happened that the present sleep may be for: the next
// [Rollout.Advance] polls, if an event may end that sleep. Like Advance it is not
// safe for concurrent use.
func (r *Rollout) Wake() {
	if r.wake {
		r.machine.Wake()
	}
}
