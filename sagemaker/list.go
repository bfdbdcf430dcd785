package sagemaker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Lister sees which endpoints of one account and region are updating, by
// ListEndpoints, a hundred to a page. With waiter.NewShared any number of waits
// share it, and describe their endpoints at their beginning and at their end.
// It is safe for concurrent use. Get it from [NewLister].
type Lister struct {
	sm sm.ListEndpointsAPIClient

	mu sync.Mutex
	// updating are the endpoints that were on the pages last, by their
	// fingerprints, and left those that are not there any more.
	updating, left map[string]string
}

var _ endpoint.Lister = (*Lister)(nil)

// NewLister returns a lister over the SDK's client of an account and region,
// which the endpoints have to be of. It sends nothing.
func NewLister(c sm.ListEndpointsAPIClient) *Lister { return &Lister{sm: c} }

const (
	// maxListed is how many endpoints AWS shows on one page.
	maxListed = 100
	// unseen is how long an update may go on without being described: AWS does
	// not promise that every change of an endpoint shows in its
	// LastModifiedTime.
	unseen = 30 * time.Minute
)

// List reads the endpoints that are Updating. One that was, and is not any
// more, is shown twice as having left, so that its wait describes it and has
// the next list to confirm what it saw. All others are left out: who waits for
// one of them reads for itself.
//
// AWS does not show there which stage an update is in, nor how many instances
// are up. That is as old as what a wait last described, half an hour at most.
func (l *Lister) List(ctx context.Context) (map[string]endpoint.ListEntry, error) {
	found, err := l.list(ctx)
	if err != nil {
		err = fmt.Errorf("sagemaker: list: %w", err)
	}
	return l.compare(found, err == nil), err
}

// list returns the fingerprints of what it got to see.
func (l *Lister) list(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	nameless := 0
	err := pages(func(token *string) (*string, error) {
		out, err := call(ctx, l.sm.ListEndpoints, &sm.ListEndpointsInput{
			// In an order that does not change from page to page.
			SortBy: types.EndpointSortKeyCreationTime, SortOrder: types.OrderKeyAscending,
			StatusEquals: types.EndpointStatusUpdating, MaxResults: aws.Int32(maxListed), NextToken: token,
		}, onceSM) // all that share the list slow down when it is throttled
		if err != nil {
			return nil, err
		}
		for _, e := range out.Endpoints {
			switch modified := e.LastModifiedTime; {
			case e.EndpointName == nil || modified == nil:
				nameless++
			case e.EndpointStatus == types.EndpointStatusUpdating:
				found["sagemaker/"+*e.EndpointName] = fmt.Sprintf("updating since %s, %d", modified.UTC().Format(time.RFC3339Nano), time.Since(*modified)/unseen)
			}
		}
		return out.NextToken, nil
	})
	if err == nil && nameless > 0 {
		err = unclear("%d endpoints without a name or a time", nameless)
	}
	return found, err
}

// compare makes sightings of a list, and remembers it. From a list that is not
// whole nothing follows for what is missing in it.
func (l *Lister) compare(found map[string]string, whole bool) map[string]endpoint.ListEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	sightings := map[string]endpoint.ListEntry{}
	for name, mark := range found {
		sightings[name] = endpoint.ListEntry{Fingerprint: mark, Updating: true}
	}
	if !whole {
		return sightings
	}
	show := func(name, mark string) {
		if _, again := found[name]; !again {
			sightings[name] = endpoint.ListEntry{Fingerprint: "no more " + mark}
		}
	}
	for name, mark := range l.left {
		show(name, mark)
	}
	l.left = map[string]string{}
	for name, mark := range l.updating {
		if _, still := found[name]; !still {
			l.left[name] = mark
			show(name, mark)
		}
	}
	l.updating = found
	return sightings
}
