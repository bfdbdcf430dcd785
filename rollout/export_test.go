package rollout

// WithHook calls f with each event on the rollout's goroutine, so that a test
// can change the endpoint, or have the process die, at that very moment.
func WithHook(f func(Event)) Option {
	return func(o *options) {
		before := o.hook
		o.hook = func(e Event) {
			if before != nil {
				before(e)
			}
			f(e)
		}
	}
}
