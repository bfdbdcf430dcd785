package endpoint

import (
	"context"
	"encoding/json"
	"time"
)

// Updater drives the control plane of one endpoint. It is safe for concurrent
// use. A done context changes nothing remote: every method returns the
// context's error before it sends a request.
type Updater interface {
	// Name is "provider/id", such as "runpod/i02xupws21hp6i". It keys journals
	// and stands in every error.
	Name() string
	// Status reads the endpoint once.
	Status(ctx context.Context) (Status, error)
	// Update asks the provider to serve c.To. It returns once the change is
	// accepted, not when it is done. An error for which [Unapplied] is false
	// leaves open whether the change was accepted: only reading tells.
	Update(ctx context.Context, c Change) error
}

// Change is what [Updater.Update] is asked for. It is data, so that a rollout
// that is resumed by another process means the same.
type Change struct {
	To Revision `json:"to"`
	// Options are the provider's own, such as a deployment configuration. They
	// hold no secret.
	Options json.RawMessage `json:"options,omitempty"`
	// Draft is what To is going to be made of, where a change is looked at
	// before its revision was staged: by [AutoscalingSuspender.SnapshotAutoscaling], [DurationEstimator] and
	// [Preflighter]. Update does not need it.
	Draft *Draft `json:"draft,omitempty"`
	// AutoscalingSuspended says that the rollout has the provider's autoscaling frozen by
	// [AutoscalingSuspender.SuspendAutoscaling] before the change and restored after it.
	AutoscalingSuspended bool `json:"autoscalingSuspended,omitempty"`
	// Rollback says that the change undoes one that was made with these options:
	// the revision is known to work, and what the options ask for to try a new
	// one out, such as canaries and alarms, would only be in the way.
	Rollback bool `json:"rollback,omitempty"`
}

// Scaler is the ability to change one of [Status.Settings].
type Scaler interface {
	// Set makes one remote write of one setting. Which order several settings
	// are written in is the caller's business. Errors are as for [Updater.Update].
	Set(ctx context.Context, key string, value int) error
}

// Draft is a revision that does not exist yet, written down in full before
// anything is changed, so that it can be checked, printed and resumed.
type Draft struct {
	// Revision is what will exist once the draft is staged, its name minted.
	Revision Revision `json:"revision"`
	// Base is the revision that the draft was made from. If it has the same ID
	// as Revision, staging rewrites it in place.
	Base Revision `json:"base"`
	// Body is the provider's own document of what staging writes. It holds no
	// secret: what is secret is read afresh when the draft is staged.
	Body json.RawMessage `json:"body,omitempty"`
	// Refresh says why a draft has the content of its base and is made all the
	// same: to move that to new capacity. It is empty for all other drafts.
	Refresh string `json:"refresh,omitempty"`
}

// Stager is the ability to make a new revision without serving it.
type Stager interface {
	// Draft only reads. It describes the revision that runs artifact and is
	// otherwise like base.
	Draft(ctx context.Context, base Revision, artifact string) (Draft, error)
	// Stage makes the drafted revision, or finds it made, and reads it back.
	// A revision of that name with other content is an error. The error is
	// [ErrPending] if the provider has begun to make it and is not done.
	Stage(ctx context.Context, d Draft) error
	// Staged returns nil if the drafted revision exists with the drafted
	// content. The error is [ErrNotFound] if it does not exist, [ErrPending] while
	// it is being made, and [ErrFailed] if the provider could not make it.
	Staged(ctx context.Context, d Draft) error
}

// Unstager is the ability to take back a revision that [Stager.Stage] made, of a
// provider where one costs money though nothing serves it. A rollout that goes
// back takes back the draft that it made itself; what served source and target side
// by side stays, and is named among the leftovers.
type Unstager interface {
	// Unstage begins to delete the drafted revision, which nothing serves.
	// [Stager.Staged] is [ErrNotFound] once it is gone. Errors are as for
	// [Updater.Update]; that it does not exist is none.
	Unstage(ctx context.Context, d Draft) error
}

// Canary is a revision that serves two others side by side, and splits the
// traffic between them.
type Canary struct {
	// Draft is how it is made; its revision is the one that is served.
	Draft
	// Source and Target name the parts of it that run each of the two, such as
	// variants, in the provider's words.
	Source []string `json:"source"`
	Target []string `json:"target"`
}

// Shifter is the ability to split the traffic between two revisions.
type Shifter interface {
	// DraftCanary only reads. It describes a revision that serves source, with
	// all of the traffic, and target side by side. draft is how target is going to
	// be made if it does not exist yet. The error is [errors.ErrUnsupported] with
	// the reason if this endpoint cannot split traffic.
	DraftCanary(ctx context.Context, source, target Revision, draft *Draft) (Canary, error)
	// Shift gives the target's part of c so many percent of the traffic, and the
	// source's part the rest, by one remote write. c is being served. Errors are
	// as for [Updater.Update]. [Status.Share] shows the effect.
	Shift(ctx context.Context, c Canary, percent int) error
}

// Refresher is the ability to move what is served to new capacity: the same
// artifact, on machines that were started since.
type Refresher interface {
	// DraftRefresh only reads. It drafts a revision with the content of base
	// under another name, with the reason in [Draft.Refresh]. The reason must
	// not be empty.
	DraftRefresh(ctx context.Context, base Revision, reason string) (Draft, error)
	// Refreshed only reads. It returns nil if the drafted revision is served and
	// all capacity of it was started after since, when the rollout wrote for the
	// first time. The error is [ErrDrift] if some of it is older or runs
	// something else, and [ErrUnavailable] if the provider does not say.
	Refreshed(ctx context.Context, d Draft, since time.Time) error
}

// AutoscalingSnapshot is what [AutoscalingSuspender.SnapshotAutoscaling] found.
type AutoscalingSnapshot struct {
	// Summary says in a line what will be done to protect the endpoint.
	Summary string `json:"summary"`
	// Autoscaled are the settings that the provider's autoscaling moves by itself
	// while it is not protected, so that their value is no promise.
	Autoscaled []string `json:"autoscaled,omitempty"`
	// ResetTo are the values that the change itself, or going back from it, may
	// give to settings: they are the rollout's doing, which sets them right.
	ResetTo map[string][]int `json:"resetTo,omitempty"`
	// Max holds, for settings that autoscaling moves, the highest value that
	// it allows. A rollout that raises one goes no higher.
	Max Settings `json:"max,omitempty"`
	// Data is the provider's own document: everything that restoring needs.
	Data json.RawMessage `json:"data"`
}

// AutoscalingState is what [AutoscalingSuspender.InspectAutoscaling] found. Both can be true, where
// there is nothing to freeze, and neither, half-way.
type AutoscalingState struct {
	// Suspended: everything is as [AutoscalingSuspender.SuspendAutoscaling] leaves it.
	Suspended bool
	// Restored: everything is as it was when the snapshot was taken.
	Restored bool
	// Differences name what is not as it was, for people, and Foreign those of
	// them that are not as SuspendAutoscaling leaves them either: somebody else's doing.
	Differences, Foreign []string
}

// AutoscalingSuspender is the ability to freeze the provider's own autoscaling while a
// rollout runs, and to put it back exactly as it was.
type AutoscalingSuspender interface {
	// SnapshotAutoscaling reads everything that SuspendAutoscaling is going to touch when the
	// endpoint is changed by c. An incomplete snapshot is an error.
	SnapshotAutoscaling(ctx context.Context, c Change) (AutoscalingSnapshot, error)
	// SuspendAutoscaling freezes autoscaling, by as many writes as it takes: an error says
	// nothing of the others. It may be called again after any failure.
	SuspendAutoscaling(ctx context.Context, p AutoscalingSnapshot) error
	// RestoreAutoscaling puts back what the snapshot holds, target by target. It may be
	// called again after any failure, and leaves alone what others changed.
	RestoreAutoscaling(ctx context.Context, p AutoscalingSnapshot) error
	// InspectAutoscaling compares the provider's state with the snapshot. It only reads.
	InspectAutoscaling(ctx context.Context, p AutoscalingSnapshot) (AutoscalingState, error)
}

// MissedReporter is the ability to say which scheduled changes of capacity did
// not come about while autoscaling was suspended: the provider does not make up
// for them.
type MissedReporter interface {
	// Missed reads nothing. It names, for people, what was due after from, when
	// suspending began, and not after to, when restoring had ended.
	Missed(p AutoscalingSnapshot, from, to time.Time) ([]string, error)
}

// OptionsHolder is the ability of an updater to have been given options for
// changes that have none of their own. A rollout writes them into its plan, so
// that another process that resumes it makes the same change.
type OptionsHolder interface {
	// ChangeOptions returns the options for [Change.Options], nil if there are none.
	ChangeOptions() (json.RawMessage, error)
}

// Drainer is the ability to count the jobs at hand.
type Drainer interface {
	// Jobs only reads. The error is [errors.ErrUnsupported] for an endpoint whose
	// jobs cannot be counted, such as one without a queue: nothing is to wait for
	// them. It is so at any time, so that it can be found out beforehand.
	Jobs(ctx context.Context) (Jobs, error)
}

// WorkerInspector is the ability to tell what a single worker runs.
type WorkerInspector interface {
	// InspectWorker only reads. It returns nil if the provider shows the worker, by the
	// provider's own ID, and shows that it runs r. The error is [ErrNotFound]
	// while the provider does not show the worker, [ErrDrift] if it shows that it
	// runs something else, and [ErrUnavailable] if it does not say what.
	InspectWorker(ctx context.Context, worker string, r Revision) error
}

// Resolver is the ability to complete a revision that a person named in short.
type Resolver interface {
	// Resolve only reads. It fills in what r leaves empty (kind, ID, artifact,
	// digest), and refuses what this endpoint cannot serve. It answers
	// [errors.ErrUnsupported] for an artifact that has to be staged first.
	Resolve(ctx context.Context, r Revision) (Revision, error)
}

// Preflighter is the ability to refuse a change before anything is touched.
type Preflighter interface {
	// Preflight only reads. settings are the values that the rollout is going
	// to set on its way and back, each key with the highest of them. The
	// strings it returns are cautions for the plan.
	Preflight(ctx context.Context, c Change, settings Settings) ([]string, error)
}

// DurationEstimator is the ability to say how much time a change is configured to
// take. It is for providers that carry a change out to its end before they take
// another one: a rollout waits for that end, since turning back would have to, too.
type DurationEstimator interface {
	// EstimateDuration only reads. It returns the longest that the provider may take for c
	// by what c and the endpoint are configured to: waits and time limits, not
	// the work itself. A rollout is that much more patient with it.
	EstimateDuration(ctx context.Context, c Change) (time.Duration, error)
}
