package runpodtest

import "time"

// Behaviour switches what the real service does only sometimes, or what is not
// known about it. The zero value is the documented behaviour, strict where the
// documentation leaves a choice, with every lag off.
type Behaviour struct {
	// Tick is the pace of a rolling release: one worker, or a tenth of
	// WorkersMax, is replaced per tick. 10 s if zero.
	Tick time.Duration
	// Terminate is how long a worker takes to go. 5 s if zero.
	Terminate time.Duration
	// JobTime is how long a job takes that was sent to /run or /runsync. 1 s if zero.
	JobTime time.Duration
	// ShowGone is how long a terminated worker is still listed in pods, as
	// TERMINATED. It is gone at once if zero.
	ShowGone time.Duration

	// ReadLag is how far the reads of the management plane lag behind its
	// writes. A mutation's own answer never lags.
	ReadLag time.Duration
	// ReadFlaps makes every second read within the ReadLag of a write fresh.
	ReadFlaps bool
	// JobLag is how far the job plane lags behind the management plane: both
	// /health and whether /run refuses jobs.
	JobLag time.Duration
	// BlankDockerArgs is how long after a saveTemplate reads show that
	// template with empty dockerArgs.
	BlankDockerArgs time.Duration

	// NoStandby: workers that are scaled in are terminated, and /health does
	// not count standby workers as idle and ready.
	NoStandby bool
	// StuckActive: active workers (WorkersMin) are not replaced by a rolling release.
	StuckActive bool
	// SameImageNoRelease: linking a template with the image of the old one
	// leaves the version as it is.
	SameImageNoRelease bool
	// AllowMinAboveMax accepts worker bounds that contradict each other.
	AllowMinAboveMax bool
	// AcceptWhenPaused: /run queues jobs at WorkersMax 0 instead of answering 409.
	AcceptWhenPaused bool
	// SaveEndpointKeepsEnv: a saveEndpoint without env leaves it as it is.
	SaveEndpointKeepsEnv bool
	// SaveTemplateKeepsOmitted: a saveTemplate leaves nullable fields that it
	// omits as they are, instead of resetting them.
	SaveTemplateKeepsOmitted bool
	// NoIdleScaleDown turns off what the platform does to an endpoint without
	// requests: WorkersMax to 2 after three days, to 0 after seven.
	NoIdleScaleDown bool
	// CrashScaleDown is how long an endpoint may have failing workers only
	// before the platform sets its bounds to 0. Never if zero.
	CrashScaleDown time.Duration

	// WorkersLag is how far the REST list of workers lags, beside the ReadLag.
	WorkersLag time.Duration
	// DegradedWorkers: the REST list of workers has lost sight of the queue. It
	// shows each worker by its lifecycle alone, with no version, and so none as
	// stale. The image is still shown.
	DegradedWorkers bool
	// ScalingReleases: a change of worker bounds is a release too. Workers are
	// taken over into it as they are.
	ScalingReleases bool
	// PatchWritesTemplate: a REST PATCH of container settings writes the
	// template that the endpoint is linked to, whatever else uses it. Otherwise
	// the endpoint gets another template first.
	PatchWritesTemplate bool
	// HideReleaseValues: REST releases name the fields that changed, and show
	// null for their values.
	HideReleaseValues bool
	// Limits are what one account may ask of the REST API. The default is no
	// limit, and no headers about it.
	Limits []Limit

	// PageSize is how many entries a REST list has on a page; 1000 if zero, which
	// is also the most.
	PageSize int
	// Cursors is what is wrong with the way from page to page.
	Cursors CursorFault
	// CPUObject shows the cpu of a CPU endpoint as an object instead of a list, as
	// another published copy of the specification has it.
	CPUObject bool
	// GraphQLRetired answers everything at /graphql with 410 Gone.
	GraphQLRetired bool
	// GraphQLLimits are what one account may ask of GraphQL, which RunPod takes away
	// in stages. The default is no limit.
	GraphQLLimits []Limit
	// BatchMark is the field by which the REST list marks workers of batch jobs:
	// "batchJobId" if empty, or "kind" or "type" with the value BATCH.
	BatchMark string

	// ClampToQuota sets a maximum beyond the account's quota to what that leaves,
	// and answers so, instead of refusing it.
	ClampToQuota bool
	// QuotaField offers User.maxServerlessConcurrency, which not every account sees.
	QuotaField bool
	// HealthOmits names keys, of jobs or of workers, that /health leaves out.
	HealthOmits []string
}

// CursorFault is a way for a paged list not to lead to its end.
type CursorFault int

const (
	// NoCursorFault is a list that can be read.
	NoCursorFault CursorFault = iota
	// NoCursor says that there is another page, and names no cursor.
	NoCursor
	// SameCursor gives the first page again, whatever cursor is sent, as a server
	// does that has another name for the parameter.
	SameCursor
	// TwoCursors leads from the second page to the third and back for ever.
	TwoCursors
	// EndlessCursors leads to one more page of the same entries for ever.
	EndlessCursors
)

func (b Behaviour) tick() time.Duration      { return orDefault(b.Tick, 10*time.Second) }
func (b Behaviour) terminate() time.Duration { return orDefault(b.Terminate, 5*time.Second) }
func (b Behaviour) jobTime() time.Duration   { return orDefault(b.JobTime, time.Second) }

// orDefault returns v unless it is zero.
func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
