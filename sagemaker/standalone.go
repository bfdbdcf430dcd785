package sagemaker

import (
	"context"
	"encoding/json"

	"github.com/changeover-dev/changeover/endpoint"
)

// SaveAutoscaling reads everything of the endpoint's autoscaling into a JSON
// document, for changes that are made without this module: deregister, change,
// and put it all back by [LoadAutoscaling]. It only reads. What cannot be read,
// or could not be put back, makes it an error: deregister only after it
// returned nil and the document is kept.
func SaveAutoscaling(ctx context.Context, e *Endpoint) ([]byte, error) {
	b, err := e.save(ctx)
	return b, e.wrap("save autoscaling", err)
}

func (e *Endpoint) save(ctx context.Context) ([]byte, error) {
	live, err := e.describe(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := e.resources(ctx, live)
	if err != nil {
		return nil, err
	}
	s, err := e.take(ctx, ownerOf(live), ids, func(*target) AutoscalingMode { return AutoscalingDeregister })
	if err != nil {
		return nil, err
	}
	return encode(s)
}

// LoadAutoscaling puts back what a document of [SaveAutoscaling] holds and is
// not there, as [Endpoint.RestoreAutoscaling] does, and returns what differs all the same:
// values that another program changed, which it leaves alone. It may be called again
// after any failure.
func LoadAutoscaling(ctx context.Context, e *Endpoint, doc []byte) (differences []string, err error) {
	p := endpoint.AutoscalingSnapshot{Data: json.RawMessage(doc)}
	if err := e.RestoreAutoscaling(ctx, p); err != nil {
		return nil, err
	}
	is, err := e.InspectAutoscaling(ctx, p)
	return is.Differences, err
}
