package runpodtest

import (
	"maps"
	"slices"
	"time"
)

// The result types have the fields of the schema's types, by name.

type endpointResult struct {
	ID, Name, UserID, AIKey, TemplateID, Type, CreatedAt *string
	Template                                             *templateResult
	Version                                              *int32

	WorkersMin, WorkersMax, WorkersStandby, WorkersPFBTarget *int32
	IdleTimeout, ScalerValue                                 *int32
	ScalerType                                               *string

	GPUIDs, ComputeType, Locations, NetworkVolumeID *string
	GPUCount, ExecutionTimeoutMs                    *int32
	InstanceIDs                                     *[]*string
	NetworkVolumeIDs                                *[]*volumeResult
	AllowedCudaVersions, MinCudaVersion             *string
	FlashBootType, FlashEnvironmentID               *string
	Env                                             *[]*envResult
	Pods                                            *[]*podResult
}

type volumeResult struct{ NetworkVolumeID, DataCenterID *string }

type podResult struct {
	ID, ImageName, DesiredStatus, LastStatusChange, TemplateID, MachineID *string
	Version, SlsVersion                                                   *int32
}

type templateResult struct {
	ID, Name, ImageName, DockerArgs, Ports, VolumeMountPath  *string
	ContainerRegistryAuthID, StartScript, Readme, Category   *string
	VolumeInGb, ContainerDiskInGb                            *int32
	StartJupyter, StartSSH, IsServerless, IsPublic, IsRunpod *bool
	AdvancedStart                                            *bool
	Env                                                      *[]*envResult
}

type envResult struct{ Key, Value *string }

// endpointOf shows an endpoint as it is in st, at the time now.
func endpointOf(st *State, e *endpoint, now time.Time) *endpointResult {
	out := &endpointResult{
		ID: ptr(e.ID), Name: ptr(e.Name), UserID: ptr("user_2fYk3cXq"), AIKey: ptr("rpa_SECRET00000000000000000000000000000000000"),
		TemplateID: ptr(e.TemplateID), Type: ptr(e.Type), CreatedAt: ptr(e.CreatedAt.UTC().Format(time.RFC3339Nano)),
		Version:    number(e.Version),
		WorkersMin: number(e.WorkersMin), WorkersMax: number(e.WorkersMax), WorkersStandby: number(e.WorkersStandby),
		WorkersPFBTarget: number(0), IdleTimeout: number(e.IdleTimeout), ScalerType: ptr(e.ScalerType), ScalerValue: number(e.ScalerValue),
		GPUIDs: text(e.GPUIDs), ComputeType: ptr("GPU"), Locations: text(e.Locations), NetworkVolumeID: text(e.NetworkVolumeID),
		GPUCount: number(e.GPUCount), ExecutionTimeoutMs: number(e.ExecutionTimeoutMs),
		InstanceIDs: &[]*string{}, NetworkVolumeIDs: &[]*volumeResult{},
		AllowedCudaVersions: text(e.AllowedCUDAVersions), MinCudaVersion: text(e.MinCUDAVersion),
		FlashBootType: text(e.FlashBoot), Env: envOf(e.Env), Pods: &[]*podResult{},
	}
	if t := st.template(e.TemplateID); t != nil {
		out.Template = templateOf(st, t, now)
	}
	for _, id := range e.InstanceIDs {
		*out.InstanceIDs = append(*out.InstanceIDs, ptr(id))
	}
	if e.NetworkVolumeID != "" {
		*out.NetworkVolumeIDs = append(*out.NetworkVolumeIDs, &volumeResult{NetworkVolumeID: ptr(e.NetworkVolumeID), DataCenterID: ptr("US-KS-2")})
	}
	for _, w := range e.workers {
		*out.Pods = append(*out.Pods, &podResult{
			ID: ptr(w.ID), ImageName: ptr(w.Image), DesiredStatus: ptr(w.desiredStatus()), LastStatusChange: ptr(w.lastStatusChange(now)),
			TemplateID: ptr(w.TemplateID), MachineID: ptr(w.MachineID), Version: number(w.Version), SlsVersion: number(w.Version),
		})
	}
	return out
}

// templateOf shows a template as it is in st, at the time now.
func templateOf(st *State, t *template, now time.Time) *templateResult {
	out := &templateResult{
		ID: ptr(t.ID), Name: ptr(t.Name), ImageName: ptr(t.Image), DockerArgs: ptr(t.DockerArgs), Ports: text(t.Ports),
		VolumeMountPath: text(t.VolumeMountPath), ContainerRegistryAuthID: text(t.RegistryAuthID), StartScript: text(t.StartScript),
		Readme: text(t.Readme), Category: text(t.Category), VolumeInGb: number(t.VolumeInGb), ContainerDiskInGb: number(t.ContainerDiskInGb),
		StartJupyter: ptr(t.StartJupyter), StartSSH: ptr(t.StartSSH), IsServerless: ptr(!t.Pod), IsPublic: ptr(t.Public), IsRunpod: ptr(false),
		AdvancedStart: ptr(t.AdvancedStart), Env: envOf(t.Env),
	}
	if d := st.Behaviour.BlankDockerArgs; d > 0 && !t.savedAt.IsZero() && now.Before(t.savedAt.Add(d)) {
		out.DockerArgs = ptr("")
	}
	return out
}

// envOf lists variables in order of their names: the service promises none.
func envOf(env map[string]string) *[]*envResult {
	out := &[]*envResult{}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		*out = append(*out, &envResult{Key: ptr(k), Value: ptr(env[k])})
	}
	return out
}
