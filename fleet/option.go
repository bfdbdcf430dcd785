package fleet

import (
	"fmt"
	"os"

	"github.com/changeover-dev/changeover/waiter"
)

// Option changes how a fleet is run.
type Option func(*settings)

type settings struct {
	owner   string
	calls   int
	observe func(Event)
	history *waiter.History
	cursor  []byte
}

// defaultCalls is how many calls are under way at once by default.
const defaultCalls = 32

func newSettings(opts []Option) (settings, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	s := settings{owner: fmt.Sprintf("%s, process %d", host, os.Getpid()), calls: defaultCalls, history: &waiter.History{}}
	for i, o := range opts {
		if o == nil {
			return s, invalid("options[%d] is nil", i)
		}
		o(&s)
	}
	switch {
	case s.owner == "":
		return s, invalid("the owner is empty")
	case s.calls < 1:
		return s, invalid("calls is %d, want at least 1", s.calls)
	case s.history == nil:
		return s, invalid("the history is nil")
	}
	return s, nil
}

// WithOwner names the runner, for the journals. The default is host and process.
// Runners that are alive at the same time need different names.
func WithOwner(name string) Option { return func(s *settings) { s.owner = name } }

// WithCalls sets how many calls of members may be under way at once. The default
// is 32.
func WithCalls(n int) Option { return func(s *settings) { s.calls = n } }

// WithObserver calls f with each event of the fleet and of its members, on one
// goroutine. f must be quick: the fleet waits for it. After a panic of f it gets
// no more.
func WithObserver(f func(Event)) Option { return func(s *settings) { s.observe = f } }

// WithHistory has the members learn from earlier waits, of this fleet's other
// members too, and add theirs. The default is a history of this run alone.
func WithHistory(h *waiter.History) Option { return func(s *settings) { s.history = h } }

// WithCursor hands [Advance] what the step of the call before has as its cursor, also
// from another process under the same owner. The first call has none. [Run] and
// [Preview] take no cursor.
func WithCursor(b []byte) Option { return func(s *settings) { s.cursor = b } }
