package sagemakertest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/changeover-dev/changeover/internal/faultrule"
	"github.com/changeover-dev/changeover/internal/inproc"
)

// Region and Account are where everything is, in every ARN.
const (
	Region  = "eu-west-1"
	Account = "111122223333"
)

// Server is an AWS account behind the HTTP APIs of SageMaker, Application Auto
// Scaling and CloudWatch. It is an [http.Handler] for use behind a socket
// (AWS_ENDPOINT_URL is all that a program needs to be told); [Server.Config]
// and [Server.Client] need none. It is safe for concurrent use.
//
// A server that is used in a testing/synctest bubble is to be made in it.
type Server struct {
	mu      sync.Mutex
	account *account
	history history
	log     []*Request
	rules   faultrule.Rules[operation, Fault]
	hook    func(n int, action string) Fault
	writes  int // mutations seen so far
}

// New returns a server with an empty account.
func New() *Server {
	now := time.Now()
	return &Server{account: newAccount(now), history: history{past: map[Service][]record{}, flipped: map[Service]bool{}}}
}

// Client returns an HTTP client whose every request, whatever its host, is
// served by s in the caller's goroutine.
func (s *Server) Client() *http.Client { return inproc.Client(s) }

// Config returns a configuration for the SDK's clients to reach s without a
// socket, with credentials and a region. Retries are the SDK's default.
func (s *Server) Config() aws.Config {
	return aws.Config{
		Region:     Region,
		HTTPClient: s.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", Source: "sagemakertest"}, nil
		}),
	}
}

// Do makes a call as another program in the account, such as
// Do(&cloudwatch.SetAlarmStateInput{…}): it takes any input of an operation
// that the server serves, and returns its output. It sees and does what is
// true, whatever reads lag; it meets no fault; and it is logged as foreign.
func (s *Server) Do(input any) (output any, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	return s.foreign(input)
}

// Seed makes calls as [Server.Do] does, of an account that has been there for
// a while: what they begin was over an hour ago, so that endpoints are in
// service, or what [Server.SetOutcome] makes of them, and no read lags behind
// it. What was in progress before goes on. It panics if one is refused.
func (s *Server) Seed(inputs ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	past := maps.Clone(s.history.past)
	for _, in := range inputs {
		since := s.account.underway()
		if _, err := s.foreign(in); err != nil {
			panic(fmt.Sprintf("sagemakertest: seeding %T: %v", in, err))
		}
		s.account.finish(since)
	}
	s.history.past = past
}

// At makes calls as [Server.Do] does, at a time, to the instant: later
// calls see what followed from them. Whether one was refused shows
// in the log only.
func (s *Server) At(t time.Time, inputs ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.account.schedule(t, func() {
		for _, in := range inputs {
			_, _ = s.foreign(in)
		}
	})
	s.advance()
}

// foreign makes a call past every fault; the caller holds the lock.
func (s *Server) foreign(input any) (any, error) {
	op, ok := operationFor(input)
	if !ok {
		return nil, fmt.Errorf("sagemakertest: %T is no input of an operation that is served", input)
	}
	t := toTree(reflect.ValueOf(input))
	e := &Request{At: s.account.now, Service: op.service, Operation: op.name, Mutation: op.write, Foreign: true}
	s.log = append(s.log, e)
	e.Input, _ = op.decode(t) // the truth about a wrong type comes with the call
	out, err := s.perform(op, t)
	e.finish(err)
	return out, err
}

// perform makes a call that reached the service; the caller holds the lock.
func (s *Server) perform(op operation, t any) (any, error) {
	in, err := op.decode(t)
	if err != nil {
		return nil, err
	}
	if !op.write {
		return op.call(s.account, in)
	}
	before := s.history.before(s.account)
	out, err := op.call(s.account, in)
	if err == nil {
		s.history.add(op.service, s.account.now, before)
		s.account.settle()
	}
	return out, err
}

// read makes a call that reads, and sees what the service shows now.
func (s *Server) read(op operation, t any) (any, error) {
	in, err := op.decode(t)
	if err != nil {
		return nil, err
	}
	return op.call(s.history.view(op.service, s.account), in)
}

// advance brings the account up to now; the caller holds the lock.
func (s *Server) advance() { s.account.advance(time.Now()) }

// Behave changes how the account behaves from now on.
func (s *Server) Behave(f func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	f(&s.account.behaviour)
	s.account.settle()
}

// SetQuota bounds the number of instances of a type that all endpoints may
// have at any time. There is no bound by default.
func (s *Server) SetQuota(instanceType string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.quotas[instanceType] = n
}

// Maintain lets AWS patch an endpoint from a time on, for d: it is
// SystemUpdating, and nothing can be done to it. Maintenance waits for a
// change in progress to end.
func (s *Server) Maintain(endpoint string, from time.Time, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	s.account.schedule(from, func() {
		if e := s.account.endpoint(endpoint); e != nil {
			e.maintenance = d
		}
	})
	s.advance()
}
