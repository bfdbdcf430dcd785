package runpod_test

import (
	"encoding/json"
	"testing"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
)

// FuzzDraft stages whatever a journal holds: nothing panics, the template
// that serves is never rewritten, and nothing secret is in an error.
func FuzzDraft(f *testing.F) {
	ep := client(f, account(f)).Endpoint(endpointID)
	d, err := ep.Draft(f.Context(), endpoint.Revision{Kind: "template", ID: nextID}, imageV3)
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"revision":{"kind":"template","id":"` + liveID + `","artifact":"` + imageV3 + `"},"body":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d endpoint.Draft
		if json.Unmarshal(b, &d) != nil {
			return
		}
		srv := account(t, runpodtest.WithBehaviour(runpodtest.Behaviour{}))
		ep := client(t, srv).Endpoint(endpointID)
		for _, err := range []error{ep.Staged(t.Context(), d), ep.Stage(t.Context(), d)} {
			if err != nil {
				noSecret(t, err.Error())
			}
		}
		if got := srv.Template(liveID).Image; got != imageV1 {
			t.Errorf("the live template runs %s", got)
		}
	})
}
