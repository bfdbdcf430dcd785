package sagemaker

import (
	"context"
	"regexp"
	"sync"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/internal/redact"
)

// credentialWords find what AWS and the SDK repeat of a request's credentials: a
// refusal of a signature has the canonical request in it, with the session
// token, and an error of the transport may have a presigned query.
var credentialWords = regexp.MustCompile(`(?i)` +
	`(x-amz-security-token|x-amz-signature|x-amz-credential|signature|credential|securitytoken|sessiontoken|secretaccesskey)(["']?\s*[=:]\s*["']?)[^\s&,;"'<>]+` +
	`|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b` +
	`|\b(?:FwoG|FQoG|IQoJ)[A-Za-z0-9/+=%_-]{16,}`)

// hideCredentials replaces credentials in a text by [redact.Mask].
func hideCredentials(s string) string {
	return credentialWords.ReplaceAllString(s, "${1}${2}"+redact.Mask)
}

// said is a text of AWS's or the SDK's, without credentials, as one line.
func said(s string) string { return clip(hideCredentials(s)) }

// hidden is err, or where its text has credentials, an error of the same text
// without them that unwraps to nothing.
func hidden(err error) error {
	if text := hideCredentials(err.Error()); text != err.Error() {
		return &hiddenError{clip(text)}
	}
	return err
}

type hiddenError struct{ text string }

func (e *hiddenError) Error() string { return e.text }

// minSecret is from how many bytes on the value of an environment variable is
// hidden: shorter ones are switches and numbers, which texts are full of.
const minSecret = 8

// secrets are the values of environments that were read, to be taken out of what
// AWS says. AWS shows environments to every caller that may describe a model.
type secrets struct {
	known *redact.Redactor

	mu     sync.Mutex
	models map[string]bool // whose environments are known
}

func newSecrets() *secrets { return &secrets{known: redact.New(), models: map[string]bool{}} }

// learn makes the values of environments known.
func (s *secrets) learn(environments ...map[string]string) {
	for _, environment := range environments {
		for _, value := range environment {
			if len(value) >= minSecret {
				s.known.Add(value)
			}
		}
	}
}

// learnModel makes the values of a model's environments known.
func (s *secrets) learnModel(m *sm.DescribeModelOutput) {
	if m.PrimaryContainer != nil {
		s.learn(m.PrimaryContainer.Environment)
	}
	for _, c := range m.Containers {
		s.learn(c.Environment)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.models[deref(m.ModelName)] = true
}

// learnModels reads models that were not read before: before a text is shown
// that may repeat what a container was given. One that cannot be read is left out.
func (s *secrets) learnModels(ctx context.Context, smc SageMaker, names []string) {
	for _, name := range names {
		s.mu.Lock()
		known := s.models[name]
		s.mu.Unlock()
		if known {
			continue
		}
		if m, err := call(ctx, smc.DescribeModel, &sm.DescribeModelInput{ModelName: &name}); err == nil {
			s.learnModel(m)
		}
	}
}

// learnComponent makes known what a description shows of containers.
func (s *secrets) learnComponent(out *sm.DescribeInferenceComponentOutput) {
	for _, spec := range summaries(out) {
		if spec.Container != nil {
			s.learn(spec.Container.Environment)
		}
	}
}

// hide takes what is known out of a text.
func (s *secrets) hide(text string) string {
	if text == "" {
		return ""
	}
	return s.known.Hide(hideCredentials(text))
}

// allModels are the models of variants, each once.
func allModels(variants ...[]types.ProductionVariant) []string {
	var names []string
	seen := map[string]bool{}
	for _, vs := range variants {
		for i := range vs {
			for _, m := range modelsOf(&vs[i]) {
				if !seen[m] {
					seen[m] = true
					names = append(names, m)
				}
			}
		}
	}
	return names
}
