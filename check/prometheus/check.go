package prometheus

import (
	"context"
	"errors"
	"fmt"

	"github.com/changeover-dev/changeover/rollout"
)

// Check returns the check that c holds. A query that is no template, and a limit
// that is no number, are refused here; a query that is not PromQL is found by
// the server only, and makes the check unknown.
func (s *Server) Check(c Condition) (rollout.Check, error) {
	q, err := c.compile()
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	return rollout.CheckFunc(func(ctx context.Context, sample rollout.Sample) (rollout.Verdict, error) {
		v, err := s.check(ctx, q, sample)
		var none *noValue
		var empty *emptyError
		if errors.As(err, &none) || errors.As(err, &empty) {
			return rollout.Verdict{Reason: err.Error()}, nil
		}
		return v, err
	}), nil
}

func (s *Server) check(ctx context.Context, c compiled, sample rollout.Sample) (rollout.Verdict, error) {
	v, err := s.evaluate(ctx, c.target, sample)
	if err != nil {
		return rollout.Verdict{}, err
	}
	if c.ratio {
		return s.compare(ctx, c, sample, v)
	}
	pass := v < c.limit
	if c.above {
		pass = v > c.limit
	}
	verdict := rollout.Measured(v, c.limit, pass)
	verdict.Reason = "want " + c.String()
	return verdict, nil
}

// compare holds the target's value against the source's.
func (s *Server) compare(ctx context.Context, c compiled, sample rollout.Sample, target float64) (rollout.Verdict, error) {
	source, err := s.evaluate(ctx, c.source, sample)
	var none *noValue
	switch {
	case errors.As(err, &none) && none.empty && sample.Share == 100 && len(sample.SourceNames) > 0:
		return rollout.Verdict{Result: rollout.ResultPass, Reason: "not compared: the source has no traffic any more"}, nil
	case err != nil:
		return rollout.Verdict{}, fmt.Errorf("source: %w", err)
	case source < 0 || target < 0:
		return rollout.Verdict{Reason: fmt.Sprintf("the results %.6g of the target and %.6g of the source have no ratio", target, source)}, nil
	}
	reason := fmt.Sprintf("target %.6g, source %.6g, want %s", target, source, c)
	if source == 0 || target/source > maxRatio {
		verdict := rollout.Verdict{Result: rollout.ResultFail, Reason: reason}
		if target <= c.limit*source {
			verdict.Result = rollout.ResultPass
		}
		return verdict, nil
	}
	verdict := rollout.Measured(target/source, c.limit, target <= c.limit*source)
	verdict.Reason = reason
	return verdict, nil
}

// maxRatio is the largest ratio that is worth a number.
const maxRatio = 1e12

func (s *Server) evaluate(ctx context.Context, q query, sample rollout.Sample) (float64, error) {
	text, err := q.render(sample)
	if err != nil {
		return 0, err
	}
	a, err := s.ask(ctx, text)
	if err != nil {
		return 0, err
	}
	return a.value()
}
