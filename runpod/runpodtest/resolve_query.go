package runpodtest

import (
	"context"
	"errors"
	"time"

	"github.com/graph-gophers/graphql-go"
)

// rootResolver answers Query and Mutation; the account comes by the context.
type rootResolver struct{}

// Myself answers Query.myself.
func (*rootResolver) Myself(ctx context.Context) (*userResult, error) {
	fields := append([]string{"myself"}, children(ctx)...)
	var u *userResult
	err := callOf(ctx).query(ctx, func(st *State, now time.Time) {
		u = &userResult{ID: ptr("user_2fYk3cXq"), MaxServerlessConcurrency: ptr(int32(st.Quota)), PodTemplates: &[]*templateResult{}}
		u.Endpoints = []*endpointResult{}
		for _, e := range st.endpoints {
			u.Endpoints = append(u.Endpoints, endpointOf(st, e, now))
		}
		for _, t := range st.templates {
			if !t.Foreign && t.boundTo == "" {
				*u.PodTemplates = append(*u.PodTemplates, templateOf(st, t, now))
			}
		}
	}, fields...)
	return orNull(u, err)
}

// PodTemplate answers Query.podTemplate: a template of the account, or a public one.
func (*rootResolver) PodTemplate(ctx context.Context, args struct{ ID string }) (*templateResult, error) {
	var out *templateResult
	err := callOf(ctx).query(ctx, func(st *State, now time.Time) {
		if t := st.template(args.ID); t != nil && (!t.Foreign || t.Public) {
			out = templateOf(st, t, now)
		}
	}, "podTemplate")
	return orNull(out, err)
}

// PodTemplates answers Query.podTemplates: the public catalogue.
func (*rootResolver) PodTemplates(ctx context.Context, args struct {
	Input *struct{ IsRunpod *bool }
},
) (*[]*templateResult, error) {
	out := &[]*templateResult{}
	err := callOf(ctx).query(ctx, func(st *State, now time.Time) {
		if args.Input != nil && args.Input.IsRunpod != nil && *args.Input.IsRunpod {
			return // none of the templates here are RunPod's own
		}
		for _, t := range st.templates {
			if t.Public {
				*out = append(*out, templateOf(st, t, now))
			}
		}
	}, "podTemplates")
	return orNull(out, err)
}

// children are the fields selected directly below the current one.
func children(ctx context.Context) []string {
	var out []string
	for _, name := range graphql.SelectedFieldNames(ctx) {
		switch name {
		case "endpoint", "endpoints", "podTemplates":
			out = append(out, name)
		}
	}
	return out
}

// orNull makes of "not found" what the service makes of it: null, no error.
func orNull[T any](v *T, err error) (*T, error) {
	if errors.Is(err, errNull) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

type userResult struct {
	ID                       *string
	Endpoints                []*endpointResult
	PodTemplates             *[]*templateResult
	MaxServerlessConcurrency *int32
}

// Endpoint answers User.endpoint.
func (u *userResult) Endpoint(args struct{ ID string }) *endpointResult {
	for _, e := range u.Endpoints {
		if *e.ID == args.ID {
			return e
		}
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

// text is null for the empty string.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func number(n int) *int32 { return ptr(int32(n)) }
