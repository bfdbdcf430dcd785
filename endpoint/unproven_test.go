package endpoint_test

import (
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
)

func TestUnproven(t *testing.T) {
	r := endpoint.Revision{Kind: "image", Artifact: "acme:v1"}
	for name, tt := range map[string]struct {
		s    endpoint.Status
		want bool
	}{
		"no pool":                   {endpoint.Status{Desired: r}, true},
		"an empty pool":             {endpoint.Status{Desired: r, Pools: []endpoint.Pool{{Name: "main"}}}, true},
		"one of two is empty":       {endpoint.Status{Desired: r, Pools: []endpoint.Pool{{Name: "main", Ready: 2}, {Name: "side"}}}, true},
		"none is empty":             {endpoint.Status{Desired: r, Pools: []endpoint.Pool{{Name: "main", Ready: 2}}}, false},
		"one is empty, one not yet": {endpoint.Status{Desired: r, Pools: []endpoint.Pool{{Name: "main", Starting: 1}, {Name: "side"}}}, false},
		"stale":                     {endpoint.Status{Desired: r, Pools: []endpoint.Pool{{Name: "main", Stale: 1}, {Name: "side"}}}, false},
		"unhealthy":                 {endpoint.Status{Desired: r, Pools: []endpoint.Pool{{Name: "main", Unhealthy: 1}, {Name: "side"}}}, false},
		"serving":                   {endpoint.Status{Desired: r, Serving: r}, false},
		"mixed":                     {endpoint.Status{Desired: r, Mixed: true}, false},
	} {
		if got := tt.s.Unproven(); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
