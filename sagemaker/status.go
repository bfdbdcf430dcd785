package sagemaker

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// Status describes the endpoint, and each endpoint configuration that it has
// not met before once, for its models.
//
// Desired is the configuration of the deployment in progress, if there is one,
// and else the endpoint's own. Serving is not known while a deployment is in
// progress, since SageMaker's documentation does not say which name it shows
// then, and while a production variant has no instance, since nothing runs that
// could prove its model; a change of capacity and maintenance leave it as it is.
// An update that AWS rolled back by itself is in service with the configuration
// before; [endpoint.Status.Reason] may or may not say why, and is gone with the
// next update.
//
// The settings are "variant/<name>/instances" of each production variant on
// instances, unless SageMaker scales those itself (ManagedInstanceScaling), and "variant/<name>/concurrency", the provisioned concurrency, of
// each serverless one.
func (e *Endpoint) Status(ctx context.Context) (endpoint.Status, error) {
	s, err := e.status(ctx)
	return s, e.wrap("status", err)
}

func (e *Endpoint) status(ctx context.Context) (endpoint.Status, error) {
	out, err := e.describe(ctx)
	if err != nil {
		return endpoint.Status{}, err
	}
	s := endpoint.Status{
		Identity: identity(deref(out.EndpointArn), out.CreationTime), Phase: phaseOf(out.EndpointStatus), Reason: reasonOf(out), Settings: settingsOf(out),
	}
	if out.LastModifiedTime != nil {
		s.Generation = out.LastModifiedTime.UTC().Format(time.RFC3339Nano)
	}
	desired, pending := out.EndpointConfigName, out.PendingDeploymentSummary
	if pending != nil && deref(pending.EndpointConfigName) != "" {
		desired = pending.EndpointConfigName
		s.UpdateStage = stageOf(pending, out.LastDeploymentConfig)
		s.Mixed = shifting(pending)
	} else {
		s.UpdateStage = capacityStage(out)
	}
	if s.Desired, err = e.revision(ctx, desired); err != nil {
		return endpoint.Status{}, err
	}
	switch {
	case out.EndpointStatus == types.EndpointStatusUpdateRollbackFailed:
		s.Mixed = true
	case desired != out.EndpointConfigName:
	case s.Phase == endpoint.PhaseReady && empty(out):
	case s.Phase == endpoint.PhaseReady, s.Phase == endpoint.PhaseUpdating && pending == nil && out.EndpointStatus != types.EndpointStatusCreating:
		s.Serving = s.Desired
	}
	e.hideReasons(ctx, out, &s)
	s.Pools = poolsOf(out)
	if s.Phase == endpoint.PhaseReady && short(out) {
		s.Phase = endpoint.PhaseScaling
	}
	return s, nil
}

// hideReasons takes out of AWS's own words what containers were given in their
// environments. The models of the configurations are read for that, once.
func (e *Endpoint) hideReasons(ctx context.Context, out *sm.DescribeEndpointOutput, s *endpoint.Status) {
	if s.Reason == "" {
		return
	}
	for _, config := range []string{deref(out.EndpointConfigName), s.Desired.ID} {
		if c, err := e.describeConfig(ctx, config); err == nil {
			e.secrets.learnModels(ctx, e.sm, allModels(c.ProductionVariants, c.ShadowProductionVariants))
		}
	}
	s.Reason = e.secrets.hide(s.Reason)
}

// phaseOf meets every status that the SDK knows with a decision. One that it
// does not know is unknown.
func phaseOf(s types.EndpointStatus) endpoint.Phase {
	switch s {
	case types.EndpointStatusInService:
		return endpoint.PhaseReady
	case types.EndpointStatusCreating, types.EndpointStatusUpdating,
		types.EndpointStatusSystemUpdating, types.EndpointStatusRollingBack:
		return endpoint.PhaseUpdating
	case types.EndpointStatusFailed, types.EndpointStatusUpdateRollbackFailed,
		types.EndpointStatusOutOfService, types.EndpointStatusDeleting:
		return endpoint.PhaseFailed
	}
	return endpoint.PhaseUnknown
}

// reasonOf is AWS's reason, and for an end that cannot be left by itself what
// is to be done about it.
func reasonOf(out *sm.DescribeEndpointOutput) string {
	remedy := map[types.EndpointStatus]string{
		types.EndpointStatusFailed:               "the endpoint is Failed: it can only be deleted and made again",
		types.EndpointStatusUpdateRollbackFailed: "the endpoint is UpdateRollbackFailed: it serves a mix of the old and the new configuration; update it once more, to one of them",
		types.EndpointStatusOutOfService:         "the endpoint is OutOfService: it takes no requests and no updates",
		types.EndpointStatusDeleting:             "the endpoint is being deleted",
	}[out.EndpointStatus]
	switch why := deref(out.FailureReason); {
	case remedy == "":
		return clip(why)
	case why == "":
		return remedy
	default:
		return clip(remedy + "; AWS says: " + why)
	}
}

func instancesKey(variant string) string   { return "variant/" + variant + "/instances" }
func concurrencyKey(variant string) string { return "variant/" + variant + "/concurrency" }

// serverless is what is asked for of a serverless variant; nil for others.
func serverless(v *types.ProductionVariantSummary) *types.ProductionVariantServerlessConfig {
	if v.DesiredServerlessConfig != nil {
		return v.DesiredServerlessConfig
	}
	return v.CurrentServerlessConfig
}

func settingsOf(out *sm.DescribeEndpointOutput) endpoint.Settings {
	s := endpoint.Settings{}
	for i := range out.ProductionVariants {
		v := &out.ProductionVariants[i]
		name := deref(v.VariantName)
		if c := serverless(v); c != nil {
			s[concurrencyKey(name)] = int(deref(c.ProvisionedConcurrency))
		} else if v.DesiredInstanceCount != nil && !managed(v) {
			s[instancesKey(name)] = int(*v.DesiredInstanceCount)
		}
	}
	return s
}

// short reports whether a variant in service has fewer instances than it is
// to have.
func short(out *sm.DescribeEndpointOutput) bool {
	for _, v := range out.ProductionVariants {
		if v.CurrentInstanceCount != nil && v.DesiredInstanceCount != nil && *v.CurrentInstanceCount < *v.DesiredInstanceCount {
			return true
		}
	}
	return false
}

// empty reports whether a variant in service is to have no instance: nothing
// there shows that its container starts.
func empty(out *sm.DescribeEndpointOutput) bool {
	return slices.ContainsFunc(out.ProductionVariants, func(v types.ProductionVariantSummary) bool {
		return serverless(&v) == nil && v.DesiredInstanceCount != nil && *v.DesiredInstanceCount == 0
	})
}

// poolsOf counts instances, one pool for each variant. While a deployment runs
// those of the old fleet are stale.
func poolsOf(out *sm.DescribeEndpointOutput) []endpoint.Pool {
	var pools []endpoint.Pool
	at := map[string]int{}
	pending := out.PendingDeploymentSummary
	for _, vs := range [][]types.ProductionVariantSummary{out.ProductionVariants, out.ShadowProductionVariants} {
		for i := range vs {
			v := &vs[i]
			if serverless(v) != nil {
				continue // it has no instances
			}
			now, want := int(deref(v.CurrentInstanceCount)), int(deref(v.DesiredInstanceCount))
			p := endpoint.Pool{Name: deref(v.VariantName)}
			switch {
			case out.EndpointStatus == types.EndpointStatusFailed:
				p.Unhealthy = now
			case pending != nil:
				p.Stale = now
			default:
				p.Ready, p.Starting = now, max(0, want-now)
			}
			at[p.Name] = len(pools)
			pools = append(pools, p)
		}
	}
	if pending == nil {
		return pools
	}
	for _, vs := range [][]types.PendingProductionVariantSummary{pending.ProductionVariants, pending.ShadowProductionVariants} {
		for _, v := range vs {
			if v.CurrentServerlessConfig != nil || v.DesiredServerlessConfig != nil {
				continue
			}
			name := deref(v.VariantName)
			i, ok := at[name]
			if !ok {
				i = len(pools)
				at[name] = i
				pools = append(pools, endpoint.Pool{Name: name})
			}
			now, want := int(deref(v.CurrentInstanceCount)), int(deref(v.DesiredInstanceCount))
			pools[i].Ready, pools[i].Starting = now, max(0, want-now)
		}
	}
	return pools
}

// shifting reports whether the fleet to come takes traffic already.
func shifting(p *types.PendingDeploymentSummary) bool {
	for _, v := range p.ProductionVariants {
		if st := latest(v.VariantStatus); st != nil && (st.Status == types.VariantStatusActivatingTraffic || st.Status == types.VariantStatusBaking) {
			return true
		}
	}
	return false
}

// latest is what a variant is doing now.
func latest(all []types.ProductionVariantStatus) *types.ProductionVariantStatus {
	var last *types.ProductionVariantStatus
	for i := range all {
		if last == nil || deref(all[i].StartTime).After(deref(last.StartTime)) {
			last = &all[i]
		}
	}
	return last
}

// bakingWords begin the message of a stage that is configured to take its time.
var bakingWords = regexp.MustCompile(`^Baking for (\d+) seconds?`)

// stageOf is the stage of a deployment: that of the variant that entered one last.
func stageOf(p *types.PendingDeploymentSummary, used *types.DeploymentConfig) endpoint.UpdateStage {
	var last *types.ProductionVariantStatus
	for _, v := range p.ProductionVariants {
		if st := latest(v.VariantStatus); st != nil && (last == nil || deref(st.StartTime).After(deref(last.StartTime))) {
			last = st
		}
	}
	if last == nil {
		return endpoint.UpdateStage{Name: string(types.EndpointStatusUpdating), Since: deref(p.StartTime)}
	}
	return stage(last, used)
}

// capacityStage is the stage of a change of capacity alone.
func capacityStage(out *sm.DescribeEndpointOutput) endpoint.UpdateStage {
	if phaseOf(out.EndpointStatus) != endpoint.PhaseUpdating {
		return endpoint.UpdateStage{}
	}
	for _, v := range out.ProductionVariants {
		if st := latest(v.VariantStatus); st != nil {
			return stage(st, nil)
		}
	}
	return endpoint.UpdateStage{Name: string(out.EndpointStatus)}
}

func stage(st *types.ProductionVariantStatus, used *types.DeploymentConfig) endpoint.UpdateStage {
	s := endpoint.UpdateStage{Name: string(st.Status), Since: deref(st.StartTime), Message: clip(deref(st.StatusMessage))}
	if st.Status != types.VariantStatusBaking {
		return s // how long the others take is open
	}
	if m := bakingWords.FindStringSubmatch(s.Message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n <= maxWait {
			s.For = time.Duration(n) * time.Second
			return s
		}
	}
	if used == nil {
		return s
	}
	if p := used.BlueGreenUpdatePolicy; p != nil && p.TrafficRoutingConfiguration != nil {
		s.For = seconds(p.TrafficRoutingConfiguration.WaitIntervalInSeconds)
	} else if p := used.RollingUpdatePolicy; p != nil {
		s.For = seconds(p.WaitIntervalInSeconds)
	}
	return s
}

func seconds(n *int32) time.Duration { return time.Duration(deref(n)) * time.Second }
