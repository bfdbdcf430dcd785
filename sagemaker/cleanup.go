package sagemaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// CleanUp deletes endpoint configurations that rollouts of this endpoint made
// and that are of no use any more, and returns their names. It is never part
// of a rollout.
//
// Only configurations with names of this package's own making for this
// endpoint are considered. Kept are the newest of them, keep in number; the one
// in service; the one that was in service before it, as far as the one in
// service was made by this package; those in never; and every one that any
// endpoint of the account names, in service or in a deployment in progress,
// because an endpoint whose configuration is gone can be neither patched nor
// rolled back. It refuses to work while the endpoint is not at rest.
//
// On an error, what was deleted until then is returned along with it.
func (e *Endpoint) CleanUp(ctx context.Context, keep int, never ...string) (removed []string, err error) {
	removed, err = e.cleanUp(ctx, keep, never)
	return removed, e.wrap("clean up", err)
}

func (e *Endpoint) cleanUp(ctx context.Context, keep int, never []string) (removed []string, err error) {
	if keep < 0 {
		return nil, invalid("keep is %d", keep)
	}
	live, err := e.describe(ctx)
	if err != nil {
		return nil, err
	}
	if live.EndpointStatus != types.EndpointStatusInService {
		return nil, fmt.Errorf("the endpoint is %s: %w", live.EndpointStatus, endpoint.ErrBusy)
	}
	previous, err := e.previous(ctx, deref(live.EndpointConfigName))
	if err != nil {
		return nil, err
	}
	old, err := e.ownConfigs(ctx)
	if err != nil {
		return nil, err
	}
	old = old[min(keep, len(old)):]
	kept := append(slices.Clone(never), deref(live.EndpointConfigName), previous)
	old = slices.DeleteFunc(old, func(name string) bool { return slices.Contains(kept, name) })
	return e.remove(ctx, old)
}

// Discard deletes the endpoint configuration that a rollout staged and that is
// not served: what a refused or rolled-back rollout leaves. It refuses one that
// any endpoint names, and one with other content than was drafted. One that
// does not exist is no error.
func (e *Endpoint) Discard(ctx context.Context, d endpoint.Draft) error {
	return e.wrap("discard", e.discard(ctx, d))
}

func (e *Endpoint) discard(ctx context.Context, d endpoint.Draft) error {
	in, err := opened(d)
	if err != nil {
		return err
	}
	err = e.sameConfig(ctx, in)
	if errors.Is(err, endpoint.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	removed, err := e.remove(ctx, []string{d.Revision.ID})
	if err == nil && removed == nil {
		return fmt.Errorf("an endpoint uses %s: %w", d.Revision, endpoint.ErrShared)
	}
	return err
}

// previous is the configuration that the one of that name was made from; empty
// if it is not known.
func (e *Endpoint) previous(ctx context.Context, name string) (string, error) {
	out, err := e.describeConfig(ctx, name)
	if errors.Is(err, endpoint.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	from := ""
	err = e.eachTag(ctx, deref(out.EndpointConfigArn), func(t types.Tag) {
		if deref(t.Key) == tagFrom {
			from = deref(t.Value)
		}
	})
	return from, err
}

// ownConfigs are the names of configurations that this package made for the
// endpoint, newest first.
func (e *Endpoint) ownConfigs(ctx context.Context) ([]string, error) {
	type config struct {
		name string
		made time.Time
	}
	var all []config
	err := pages(func(token *string) (*string, error) {
		out, err := call(ctx, e.sm.ListEndpointConfigs, &sm.ListEndpointConfigsInput{
			NameContains: ptr(namePrefix(e.name) + nameMark), NextToken: token,
		})
		if err != nil {
			return nil, err
		}
		for _, c := range out.EndpointConfigs {
			if name := deref(c.EndpointConfigName); isOwnName(e.name, name) {
				all = append(all, config{name, deref(c.CreationTime)})
			}
		}
		return out.NextToken, nil
	})
	slices.SortFunc(all, func(a, b config) int { return cmp.Or(b.made.Compare(a.made), cmp.Compare(b.name, a.name)) })
	var names []string
	for _, c := range all {
		names = append(names, c.name)
	}
	return names, err
}

// remove deletes those of the configurations that no endpoint names.
func (e *Endpoint) remove(ctx context.Context, names []string) (removed []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	used, err := e.used(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if used[name] {
			continue
		}
		_, err := call(ctx, e.sm.DeleteEndpointConfig, &sm.DeleteEndpointConfigInput{EndpointConfigName: &name}, onceSM)
		if err != nil && !errors.Is(err, endpoint.ErrNotFound) {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// used are the configurations that any endpoint of the account names.
func (e *Endpoint) used(ctx context.Context) (map[string]bool, error) {
	used := map[string]bool{}
	err := pages(func(token *string) (*string, error) {
		out, err := call(ctx, e.sm.ListEndpoints, &sm.ListEndpointsInput{NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, s := range out.Endpoints {
			d, err := call(ctx, e.sm.DescribeEndpoint, &sm.DescribeEndpointInput{EndpointName: s.EndpointName})
			if errors.Is(err, endpoint.ErrNotFound) {
				continue // deleted since
			}
			if err != nil {
				return nil, err
			}
			used[deref(d.EndpointConfigName)] = true
			if d.PendingDeploymentSummary != nil {
				used[deref(d.PendingDeploymentSummary.EndpointConfigName)] = true
			}
		}
		return out.NextToken, nil
	})
	return used, err
}
