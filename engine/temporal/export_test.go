package temporal

import (
	"sync"
	"time"
)

// Hasten lets a workflow begin an activity for each wait, and notice within seconds
// that a worker is gone. It is for tests that run beside others, after all that do
// not.
var Hasten = sync.OnceFunc(func() {
	soon, heartbeatInterval, busyInterval, activityOptions.HeartbeatTimeout = 0, 300*time.Millisecond, time.Second, 2*time.Second
})

// MemberWorkflow is for the replay of histories.
var MemberWorkflow, MemberWorkflowName = memberWorkflow, memberWorkflowName
