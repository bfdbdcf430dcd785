package strategy

import (
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// Check says how a check is carried out. It is data, so that a rollout that is
// resumed by another process judges by the same rule; the check itself is given
// by its name, to package rollout.
type Check struct {
	Name string `json:"name"`
	// Interval is the time between two evaluations; zero means at each poll.
	Interval time.Duration `json:"interval,omitempty"`
	// Delay is how long the target has to have traffic before the first one.
	Delay time.Duration `json:"delay,omitempty"`
	// Timeout bounds one evaluation. What takes longer is unknown.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Failures is how many evaluations may fail: with one more the check fails.
	Failures int `json:"failures,omitempty"`
	// Passes is how many evaluations in all have to pass before the rollout goes on.
	Passes int `json:"passes,omitempty"`
	// Unknown says what it means that the check cannot tell.
	Unknown OnUnknown `json:"unknown,omitempty"`
	// UnknownLimit is how long a check that cannot tell may hold the rollout.
	UnknownLimit time.Duration `json:"unknownLimit,omitempty"`
}

// The defaults of a [Check].
const (
	DefaultCheckTimeout = time.Minute
	DefaultUnknownLimit = 15 * time.Minute
)

// OnUnknown says what it means that a check cannot tell.
type OnUnknown string

// What it can mean.
const (
	// UnknownHold stops the rollout from advancing and keeps watching, until
	// UnknownLimit: then it is rolled back.
	UnknownHold OnUnknown = "hold"
	// UnknownRollback rolls back at once.
	UnknownRollback OnUnknown = "rollback"
	// UnknownContinue goes on as if the check were not there.
	UnknownContinue OnUnknown = "continue"
)

// WithDefaults returns the check with its defaults in place of what is zero.
func (c Check) WithDefaults() Check {
	if c.Timeout == 0 {
		c.Timeout = DefaultCheckTimeout
	}
	if c.Passes == 0 {
		c.Passes = 1
	}
	if c.Unknown == "" {
		c.Unknown = UnknownHold
	}
	if c.UnknownLimit == 0 {
		c.UnknownLimit = DefaultUnknownLimit
	}
	return c
}

// Validate refuses a check that could not be carried out.
func (c Check) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("check %q: %w: %s", c.Name, endpoint.ErrInvalid, fmt.Sprintf(format, args...))
	}
	switch {
	case c.Name == "":
		return fmt.Errorf("a check without a name: %w", endpoint.ErrInvalid)
	case c.Interval < 0, c.Delay < 0, c.Timeout < 0, c.UnknownLimit < 0:
		return bad("a time is negative")
	case c.Interval > longestBake, c.Delay > longestBake, c.Timeout > time.Hour, c.UnknownLimit > longestBake:
		return bad("a time is too long")
	case c.Failures < 0, c.Passes < 0:
		return bad("failures and passes must not be negative")
	}
	switch c.Unknown {
	case "", UnknownHold, UnknownRollback, UnknownContinue:
		return nil
	}
	return bad("unknown %q: want %s, %s or %s", c.Unknown, UnknownHold, UnknownRollback, UnknownContinue)
}

// Approval is a step at which a rollout waits for a person's decision.
type Approval struct {
	Name string `json:"name"`
	// Expires is how long the decision is waited for.
	Expires time.Duration `json:"expires"`
	// Then is what happens when it expires: a rollback, unless it says otherwise.
	Then OnExpiry `json:"then,omitempty"`
}

// OnExpiry says what happens when nobody decided in time.
type OnExpiry string

// What can happen.
const (
	ExpiryRollback OnExpiry = "rollback"
	ExpiryContinue OnExpiry = "continue"
)

// Validate refuses an approval that could not be waited for.
func (a Approval) Validate() error {
	switch {
	case a.Name == "":
		return fmt.Errorf("an approval without a name: %w", endpoint.ErrInvalid)
	case a.Expires <= 0, a.Expires > longestBake:
		return fmt.Errorf("approval %q: %w: it expires after %v, want more than 0 and at most %v", a.Name, endpoint.ErrInvalid, a.Expires, longestBake)
	case a.Then != "" && a.Then != ExpiryRollback && a.Then != ExpiryContinue:
		return fmt.Errorf("approval %q: %w: on expiry %q, want %s or %s", a.Name, endpoint.ErrInvalid, a.Then, ExpiryRollback, ExpiryContinue)
	}
	return nil
}
