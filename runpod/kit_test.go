package runpod_test

import (
	"strings"
	"testing"

	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

const (
	endpointID = "i02xupws21hp6i"
	liveID     = "xkhgg72fuo"
	nextID     = "wphkv67a0p"
	imageV1    = "acme/sdxl:v1"
	imageV2    = "acme/sdxl:v2"
	imageV3    = "acme/sdxl:v3"
	secret     = "hunter2-is-long"
)

// account returns a fake account with one endpoint on a template of its own,
// and a second template with another image.
func account(t *testing.T, opts ...runpodtest.Option) *runpodtest.Server {
	t.Helper()
	srv := runpodtest.New(opts...)
	srv.AddTemplate(runpodtest.Template{
		ID: liveID, Name: "sdxl-a", Image: imageV1, DockerArgs: "python handler.py --token " + secret,
		Env: map[string]string{"MODEL": "sdxl", "HF_TOKEN": secret, "PORT": "8000"}, Ports: "8000/http",
		RegistryAuthID: "clreg1", Readme: "read me", ContainerDiskInGb: 20, VolumeMountPath: "/workspace",
	})
	srv.AddTemplate(runpodtest.Template{
		ID: nextID, Name: "sdxl-b", Image: imageV2, DockerArgs: "python handler.py --token " + secret,
		Env: map[string]string{"MODEL": "sdxl", "HF_TOKEN": secret, "PORT": "8000"}, Ports: "8000/http",
		RegistryAuthID: "clreg1", Readme: "read me", ContainerDiskInGb: 20, VolumeMountPath: "/workspace",
	})
	srv.AddImage(runpodtest.Image{Ref: imageV3})
	srv.AddEndpoint(runpodtest.Endpoint{ID: endpointID, Name: "sdxl-prod", TemplateID: liveID, WorkersMin: 2, WorkersMax: 3, Version: 7})
	return srv
}

// client speaks GraphQL, unless opts say otherwise.
func client(t *testing.T, srv *runpodtest.Server, opts ...runpod.Option) *runpod.Client {
	t.Helper()
	c, err := runpod.New(runpodtest.Key, append([]runpod.Option{runpod.WithHTTPClient(srv.Client()), runpod.WithTransport(runpod.GraphQL)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withoutRetirement drops the caution that every rollout over GraphQL has.
func withoutRetirement(t *testing.T, cautions []string) []string {
	t.Helper()
	n := len(cautions)
	if n == 0 || !strings.Contains(cautions[n-1], "early 2027") {
		t.Errorf("cautions %q do not say until when there is GraphQL", cautions)
		return cautions
	}
	return cautions[:n-1]
}

func noSecret(t *testing.T, text string) {
	t.Helper()
	for _, s := range []string{runpodtest.Key, secret} {
		if strings.Contains(text, s) {
			t.Errorf("a secret shows in %q", text)
		}
	}
}
