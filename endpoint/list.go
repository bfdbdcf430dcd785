package endpoint

import "context"

// Lister sees many endpoints by one call, or one call per page, so that many
// waits can share one poller. It is safe for concurrent use. A provider's
// client for an account has it, rather than its endpoints.
type Lister interface {
	// List reads every endpoint that it can see, by [Updater.Name]. With an
	// error, what it returns is what it got to see before: nothing is
	// concluded from what is missing.
	List(ctx context.Context) (map[string]ListEntry, error)
}

// ListEntry is what a list shows of one endpoint.
type ListEntry struct {
	// Fingerprint changes when what Status returns changes.
	Fingerprint string
	// Updating is true if the list says that an update is in progress. It is
	// only compared with what Status said, since a list may lag behind.
	Updating bool
	// Incomplete is true if Status may change while Fingerprint does not.
	Incomplete bool
}
