package runpod

import (
	"errors"

	"github.com/changeover-dev/changeover/internal/redact"
)

// secrets are what no error may repeat of RunPod's words: the keys of a client,
// and what it has read, or is about to write, of environments and start
// commands.
type secrets struct{ *redact.Redactor }

// hideIn takes secrets out of what err says of an answer, and returns err.
func (s secrets) hideIn(err error) error {
	var api *APIError
	if errors.As(err, &api) {
		api.Message = s.Hide(api.Message)
	}
	return err
}

// keepContent keeps what may be secret in what a worker runs.
func (s secrets) keepContent(c *content) {
	if c == nil {
		return
	}
	s.AddCommand(c.DockerArgs)
	for _, v := range c.Env {
		s.Add(v.Value)
	}
}

// keepReleases keeps what environments and start commands were in a history.
func (s secrets) keepReleases(l *releaseList) {
	for _, r := range l.releases {
		for _, d := range r.diff {
			for _, value := range [][]byte{d.Old, d.New} {
				var then settings
				then.put(d.setting(), value) // or not, if it is none
				s.keepContent(&then.content)
				s.AddCommand(then.cmd...)
			}
		}
	}
}
