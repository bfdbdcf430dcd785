package runpodtest

import (
	"maps"
	"slices"
	"time"
)

// Template describes what the workers of an endpoint run. Seeding one needs an
// Image only.
type Template struct {
	ID                string            // ten lower-case characters; generated if empty
	Name              string            // unique in the account; "template-" and the ID if empty
	Image             string            // "acme/sdxl:v1"
	DockerArgs        string            // the start command
	Cmd               []string          // over REST beside it
	Env               map[string]string // replaced as a whole by every write
	Ports             string            // "8000/http,22/tcp"
	ContainerDiskInGb int               // 20 if zero
	VolumeInGb        int               // serverless templates have none
	VolumeMountPath   string
	RegistryAuthID    string // containerRegistryAuthId, for private images
	Readme            string
	Category          string
	StartScript       string
	StartJupyter      bool
	StartSSH          bool
	AdvancedStart     bool
	Public            bool // readable by every account
	Pod               bool // isServerless is false: no endpoint can be linked to it
	Foreign           bool // owned by another account: not listed, not writable, not linkable
}

func (t Template) clone() Template {
	t.Env, t.Cmd = maps.Clone(t.Env), slices.Clone(t.Cmd)
	return t
}

// Endpoint is the configuration of a serverless endpoint. Seeding one needs a
// TemplateID only.
type Endpoint struct {
	ID         string // fourteen lower-case characters; generated if empty
	Name       string // "endpoint-" and the ID if empty
	TemplateID string
	Type       string // "QB", with a queue (the default), or "LB", load-balanced
	// WorkersMin is the number of active workers: always up. A seeded endpoint
	// has them up and idle already.
	WorkersMin int
	// WorkersMax bounds all workers. Zero pauses the endpoint.
	WorkersMax int
	// WorkersStandby is how many workers that were scaled in are kept warm:
	// stopped, with their image. WorkersMax if zero when seeded.
	WorkersStandby int
	IdleTimeout    int    // seconds that a worker stays up without a job; 5 if zero when seeded
	ScalerType     string // "QUEUE_DELAY" if empty
	ScalerValue    int    // 4 if zero when seeded
	// QueueDelay is what REST shows and takes for a ScalerType of QUEUE_DELAY, which
	// may be a fraction of a second; ScalerValue if zero.
	QueueDelay float64

	GPUIDs              string   // "ADA_24" if empty
	GPUCount            int      // 1 if zero when seeded
	InstanceIDs         []string // of a CPU endpoint, such as "cpu3g-2-8": REST shows them as its cpu
	Locations           string   // null if empty
	NetworkVolumeID     string   // null if empty
	AllowedCUDAVersions string
	MinCUDAVersion      string
	ExecutionTimeoutMs  int
	FlashBoot           string            // flashBootType: "FLASHBOOT" if empty when seeded, "OFF", "PRIORITY_FLASHBOOT"
	Env                 map[string]string // of the endpoint itself, beside its template's

	// Version counts the releases: changes of what workers run. 1 if zero when seeded.
	Version   int
	CreatedAt time.Time // when it was seeded, if zero
}

func (e Endpoint) clone() Endpoint {
	e.Env = maps.Clone(e.Env)
	e.InstanceIDs = append([]string(nil), e.InstanceIDs...)
	return e
}

// Image is what the registry holds under a reference. The image of a seeded
// template is there from the start; every other one has to be added, or the
// workers that are to run it never get past pulling it.
type Image struct {
	Ref  string
	Pull time.Duration // the first time on an endpoint; 30 s if zero
	// Start is from the container's start until the worker takes jobs; 10 s if zero.
	Start time.Duration
	// Fault is what is wrong with the image. The default is nothing.
	Fault ImageFault
	// After is how long a worker serves well before Fault shows. It delays
	// TurnsUnhealthy and CrashLoops, and is how long Flaps stays up; that is 5 s if zero.
	After time.Duration
	// Log is what the container writes when it starts, line by line.
	Log []string
}

// ImageFault is a way for an image not to work.
type ImageFault int

const (
	// Serves is an image without fault.
	Serves ImageFault = iota
	// TurnsUnhealthy is an image whose workers end up unhealthy.
	TurnsUnhealthy
	// CrashLoops is an image whose workers restart every 20 s. Pods show them as RUNNING with a
	// lastStatusChange that moves, /health as initializing.
	CrashLoops
	// NeverStarts is an image whose workers stay initializing.
	NeverStarts
	// Flaps is an image whose container runs for After, dies and is started again at
	// once, which every view shows as a worker that is ready: only its start moves.
	Flaps
	// FailsJobs is an image whose workers come up, and fail every job.
	FailsJobs
)

// WorkerState is what a worker is really doing, which no API tells outright.
type WorkerState string

// The states of a worker. All but the last two are shown as RUNNING in pods.
const (
	Throttled    WorkerState = "throttled"    // waiting for a host
	Initializing WorkerState = "initializing" // pulling or starting
	Idle         WorkerState = "idle"         // ready for a job
	Running      WorkerState = "running"      // on a job
	Unhealthy    WorkerState = "unhealthy"
	Crashing     WorkerState = "crashing" // in a crash loop
	Stopping     WorkerState = "stopping" // told to go, not gone
	Standby      WorkerState = "standby"  // stopped and kept warm: EXITED
	Gone         WorkerState = "gone"     // TERMINATED; see [Behaviour.ShowGone]
)

// Worker is one worker of an endpoint.
type Worker struct {
	ID, MachineID string
	Image         string
	TemplateID    string
	Version       int // the release it belongs to: slsVersion
	State         WorkerState
	Since         time.Time // when it entered State
	Job           string    // the ID of the job it is running
	Batch         string    // the ID of the batch job that it belongs to; such a worker is no part of the endpoint's own
}

// JobCounts are the jobs of an endpoint. Completed, Failed and Retried only grow.
type JobCounts struct {
	Completed, Failed, InProgress, InQueue, Retried int
}
