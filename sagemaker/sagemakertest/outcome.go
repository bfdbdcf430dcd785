package sagemakertest

// Outcome is what becomes of a change.
type Outcome int

const (
	// Succeeds is the default.
	Succeeds Outcome = iota
	// RollsBack means that the instances do not come up, and the endpoint goes back to
	// what it was, by itself.
	RollsBack
	// RollbackFails means that the second batch of a rolling deployment does not
	// come up, and neither does the rollback: the endpoint is
	// UpdateRollbackFailed and serves a mix. Any other change Fails.
	RollbackFails
	// Fails means that the endpoint ends Failed, and can only be deleted.
	Fails
	// Stalls means that the instances neither come up nor fail.
	Stalls
)

type fate struct {
	outcome Outcome
	reason  string
}

// SetOutcome says what becomes of deployments of an endpoint config or of a
// model, or of changes of an endpoint's capacity and weights, by the name of
// the one or the other; a config goes before its models. The reason becomes
// the endpoint's FailureReason; it may be empty, as it may be with AWS.
func (s *Server) SetOutcome(name string, o Outcome, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.account.fates[name] = fate{o, reason}
}

// fateOf is what becomes of a deployment of c.
func (a *account) fateOf(c *config) fate {
	if f, ok := a.fates[c.name]; ok {
		return f
	}
	for _, v := range c.variants() {
		if f, ok := a.fates[str(v.ModelName)]; ok {
			return f
		}
	}
	return fate{}
}
