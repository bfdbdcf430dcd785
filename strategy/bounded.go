package strategy

import (
	"context"
	"fmt"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// bounded is an endpoint of which one look that is never answered costs a
// minute, not the whole of the wait that it is part of.
type bounded struct{ endpoint.Updater }

// Unwrap shows the abilities of the endpoint.
func (b bounded) Unwrap() endpoint.Updater { return b.Updater }

// Status implements [endpoint.Updater].
func (b bounded) Status(ctx context.Context) (endpoint.Status, error) {
	lctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := b.Updater.Status(lctx)
	if err != nil && lctx.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: a look was not answered for %v: %w", endpoint.ErrUnavailable, time.Minute, err)
	}
	return s, err
}
