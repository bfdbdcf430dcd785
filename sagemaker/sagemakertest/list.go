package sagemakertest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
)

// token is what the opaque text between two pages holds.
type token struct {
	List   string // which one, and of what
	Offset int
}

// page cuts one page out of a list. Its name tells it from other lists: a
// token is good for its own only.
func page[T any](all []T, name string, next *string, size int32, bad error) (items []T, more *string, err error) {
	var t token
	if next != nil {
		raw, err := base64.RawURLEncoding.DecodeString(*next)
		if err != nil || json.Unmarshal(raw, &t) != nil || t.List != name || t.Offset < 0 {
			return nil, nil, bad
		}
	}
	items = all[min(t.Offset, len(all)):]
	if len(items) <= int(size) {
		return items, nil, nil
	}
	raw, err := json.Marshal(token{name, t.Offset + int(size)})
	return items[:size], ref(base64.RawURLEncoding.EncodeToString(raw)), err
}

// size is the length of a page: what was asked for, if it is less than the
// default, which is the most that the service gives.
func size(asked *int32, def int32) int32 {
	if asked == nil {
		return def
	}
	return *asked
}

var errToken = invalid("The pagination token is invalid.")

// within reports whether t is after from and before to, as far as they are given.
func within(t time.Time, from, to *time.Time) bool {
	return (from == nil || t.After(*from)) && (to == nil || t.Before(*to))
}

func contains(s string, part *string) bool {
	return part == nil || strings.Contains(strings.ToLower(s), strings.ToLower(*part))
}

// ordered sorts by a key, then by name.
func ordered[T any](list []T, desc bool, key func(T) time.Time, byName bool, name func(T) string) {
	slices.SortStableFunc(list, func(x, y T) int {
		n := 0
		if !byName {
			n = key(x).Compare(key(y))
		}
		n = cmp.Or(n, strings.Compare(name(x), name(y)))
		if desc {
			return -n
		}
		return n
	})
}

func (a *account) listEndpoints(in *sagemaker.ListEndpointsInput) (*sagemaker.ListEndpointsOutput, error) {
	var all []types.EndpointSummary
	for _, e := range a.endpoints {
		if within(e.created, in.CreationTimeAfter, in.CreationTimeBefore) && within(a.modified(e), in.LastModifiedTimeAfter, in.LastModifiedTimeBefore) &&
			contains(e.name, in.NameContains) && (in.StatusEquals == "" || in.StatusEquals == e.status) {
			all = append(all, types.EndpointSummary{
				EndpointArn: &e.arn, EndpointName: &e.name, EndpointStatus: e.status, CreationTime: &e.created, LastModifiedTime: ref(a.modified(e)),
			})
		}
	}
	key := func(s types.EndpointSummary) time.Time { return *s.CreationTime }
	if in.SortBy == types.EndpointSortKeyStatus {
		slices.SortFunc(all, func(x, y types.EndpointSummary) int { return cmp.Compare(x.EndpointStatus, y.EndpointStatus) })
		key = func(types.EndpointSummary) time.Time { return time.Time{} }
	}
	ordered(all, in.SortOrder != types.OrderKeyAscending, key, in.SortBy == types.EndpointSortKeyName, func(s types.EndpointSummary) string { return *s.EndpointName })
	asked := *in // a token is good for the same question only
	asked.NextToken, asked.MaxResults = nil, nil
	items, next, err := page(all, "endpoints "+flat(&asked), in.NextToken, size(in.MaxResults, 10), errToken)
	return &sagemaker.ListEndpointsOutput{Endpoints: items, NextToken: next}, err
}

func (a *account) listEndpointConfigs(in *sagemaker.ListEndpointConfigsInput) (*sagemaker.ListEndpointConfigsOutput, error) {
	var all []types.EndpointConfigSummary
	for _, c := range a.configs {
		if within(c.created, in.CreationTimeAfter, in.CreationTimeBefore) && contains(c.name, in.NameContains) {
			all = append(all, types.EndpointConfigSummary{EndpointConfigArn: &c.arn, EndpointConfigName: &c.name, CreationTime: &c.created})
		}
	}
	ordered(all, in.SortOrder != types.OrderKeyAscending, func(s types.EndpointConfigSummary) time.Time { return *s.CreationTime },
		in.SortBy == types.EndpointConfigSortKeyName, func(s types.EndpointConfigSummary) string { return *s.EndpointConfigName })
	items, next, err := page(all, "configs", in.NextToken, size(in.MaxResults, 10), errToken)
	return &sagemaker.ListEndpointConfigsOutput{EndpointConfigs: items, NextToken: next}, err
}
