package sagemaker_test

import (
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

// actual is what the account's endpoint really is: for the suite, which holds
// Status against it.
func actual(srv *sagemakertest.Server) endpointtest.Actual {
	e := srv.Endpoint(name)
	a := endpointtest.Actual{
		Desired: config(e.Config), Updating: e.Status != types.EndpointStatusInService && e.Status != types.EndpointStatusFailed,
		Failed: e.Status == types.EndpointStatusFailed, Reason: e.Reason,
	}
	if e.Pending != "" {
		a.Desired = config(e.Pending)
	}
	for _, v := range e.Variants {
		for range v.Current {
			a.Units = append(a.Units, endpointtest.Unit{Runs: config(e.Config), Up: true, Serves: true})
		}
		for range v.Launched {
			a.Units = append(a.Units, endpointtest.Unit{Runs: config(e.Pending), Up: true})
		}
	}
	return a
}
