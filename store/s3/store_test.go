package s3_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/internal/inproc"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/journal/journaltest"
	"github.com/changeover-dev/changeover/rollout"
	s3store "github.com/changeover-dev/changeover/store/s3"
	"github.com/changeover-dev/changeover/strategy"
)

const bucket = "acme-rollouts"

// service is an S3 in this process, behind the real client.
type service struct {
	*s3.Client
	t testing.TB
	// onPut and onGet return the fault of a request; nil for none.
	onPut, onGet      func(n int) fault
	puts, gets, lists atomic.Int32
	page              int32 // keys on one page of a listing
}

// fault says whether a request takes effect, and what its answer is if that is not lost.
type fault struct {
	applied bool
	err     error
}

func newService(t testing.TB) *service {
	t.Helper()
	fake := gofakes3.New(s3mem.New(), gofakes3.WithTimeSkewLimit(0))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength >= 0 { // a server finds this header as the client wrote it
			r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		}
		fake.Server().ServeHTTP(w, r)
	})
	client := s3.New(s3.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String("http://s3.invalid"), UsePathStyle: true,
		HTTPClient: inproc.Client(handler),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
		}),
	})
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	return &service{Client: client, t: t, page: 1000}
}

func (s *service) store() *s3store.Store {
	s.t.Helper()
	store, err := s3store.New(s, bucket, "journals/")
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}

func (s *service) PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	n := int(s.puts.Add(1))
	if s.onPut != nil {
		if f := s.onPut(n); f.err != nil {
			if f.applied {
				_, _ = s.Client.PutObject(context.WithoutCancel(ctx), in, opts...)
			}
			return nil, f.err
		}
	}
	return s.Client.PutObject(ctx, in, opts...)
}

func (s *service) GetObject(ctx context.Context, in *s3.GetObjectInput, opts ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	n := int(s.gets.Add(1))
	if s.onGet != nil {
		if f := s.onGet(n); f.err != nil {
			return nil, f.err
		}
	}
	return s.Client.GetObject(ctx, in, opts...)
}

func (s *service) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input, opts ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	s.lists.Add(1)
	in.MaxKeys = &s.page
	return s.Client.ListObjectsV2(ctx, in, opts...)
}

// handle is a store that knows its service.
type handle struct {
	*s3store.Store
	service *service
}

func TestStore(t *testing.T) {
	for _, page := range []int32{7, 1000} { // a journal has several pages, or one
		t.Run(fmt.Sprint(page, " keys a page"), func(t *testing.T) {
			journaltest.Run(t, journaltest.Harness{
				New: func(t testing.TB) journal.Store {
					s := newService(t)
					s.page = page
					return handle{s.store(), s}
				},
				Reopen: func(_ testing.TB, s journal.Store) journal.Store {
					svc := s.(handle).service
					return handle{svc.store(), svc}
				},
			})
		})
	}
}

// endless is an S3 whose lists never come to an end.
type endless struct {
	*service
	tokens []*string // in turns
	lists  int
}

func (e *endless) ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	if e.lists++; e.lists > 10 {
		return nil, errLost
	}
	return &s3.ListObjectsV2Output{IsTruncated: aws.Bool(true), NextContinuationToken: e.tokens[e.lists%len(e.tokens)]}, nil
}

func TestListWithoutEnd(t *testing.T) {
	for _, tokens := range [][]*string{{nil}, {aws.String("")}, {aws.String("again")}, {aws.String("a"), aws.String("b")}} {
		store, err := s3store.New(&endless{service: newService(t), tokens: tokens}, bucket, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Load(t.Context(), name); !errors.Is(err, endpoint.ErrUnavailable) {
			t.Errorf("Load = %v, want ErrUnavailable", err)
		}
		if _, err := store.List(t.Context()); !errors.Is(err, endpoint.ErrUnavailable) {
			t.Errorf("List = %v, want ErrUnavailable", err)
		}
	}
}

const name = "runpod/i02xupws21hp6i"

// next is the record behind last, the zero value before the first one.
func next(t *testing.T, last journal.Record, text string) journal.Record {
	t.Helper()
	r := journal.Record{Version: strategy.FormatVersion, Seq: last.Seq + 1, Rollout: "r", Kind: journal.KindFailed, Error: text}
	if r.Seq%10 == 1 {
		r.Kind = journal.KindPlan
	}
	if err := r.Seal(last.Sum); err != nil {
		t.Fatal(err)
	}
	return r
}

// grow appends n records and returns the last one.
func grow(t *testing.T, s journal.Store, last journal.Record, n int) journal.Record {
	t.Helper()
	for range n {
		last = next(t, last, "")
		if err := s.Append(t.Context(), name, last); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

var errLost = errors.New("connection reset by peer")

// status is an answer of S3.
type status int

func (s status) Error() string       { return fmt.Sprint("S3 answered ", int(s)) }
func (s status) HTTPStatusCode() int { return int(s) }

// Where the answer to a write is lost, the store finds out which record is there.
func TestAmbiguousAppend(t *testing.T) {
	first := func(f fault) func(int) fault {
		return func(n int) fault {
			if n == 1 {
				return f
			}
			return fault{}
		}
	}
	always := func(f fault) func(int) fault { return func(int) fault { return f } }
	for what, tt := range map[string]struct {
		onPut, onGet func(int) fault
		other        bool // another runner's record is there
		want         error
		kept         int // records afterwards
		took         time.Duration
	}{
		"applied, answer lost":                    {onPut: first(fault{true, errLost}), kept: 1},
		"not applied":                             {onPut: first(fault{false, errLost}), kept: 1, took: 100 * time.Millisecond},
		"applied, and S3 at fault":                {onPut: first(fault{true, status(500)}), kept: 1},
		"applied, and answered with the conflict": {onPut: first(fault{true, status(412)}), kept: 1},
		"conflicting request":                     {onPut: first(fault{false, status(409)}), kept: 1, took: 100 * time.Millisecond},
		"lost, and the read too": {
			onPut: first(fault{true, errLost}), onGet: first(fault{false, errLost}), kept: 1, took: 100 * time.Millisecond,
		},
		"lost, and another runner's": {onPut: first(fault{false, errLost}), other: true, want: journal.ErrConflict, kept: 1},
		"not allowed":                {onPut: always(fault{false, status(403)}), want: status(403)},
		"S3 is down":                 {onPut: always(fault{false, errLost}), want: errLost, took: time.Minute},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				svc := newService(t)
				if tt.other {
					if err := svc.store().Append(t.Context(), name, next(t, journal.Record{}, "another's")); err != nil {
						t.Fatal(err)
					}
					svc.puts.Store(0)
					svc.gets.Store(0)
				}
				svc.onPut, svc.onGet = tt.onPut, tt.onGet
				began := time.Now()
				if err := svc.store().Append(t.Context(), name, next(t, journal.Record{}, "this one's")); !errors.Is(err, tt.want) {
					t.Errorf("Append = %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
				svc.onPut, svc.onGet = nil, nil
				got, err := svc.store().Load(t.Context(), name)
				if err != nil || len(got) != tt.kept {
					t.Errorf("Load = %d records, %v, want %d", len(got), err, tt.kept)
				}
			})
		})
	}
}

// A record that arrived before its caller gave up is there, and is said to be.
func TestAppendThatIsCancelled(t *testing.T) {
	svc := newService(t)
	var last journal.Record
	for _, applied := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		svc.onPut = func(int) fault {
			cancel()
			return fault{applied, context.Canceled}
		}
		last = next(t, last, "")
		err := svc.store().Append(ctx, name, last)
		if applied && err != nil || !applied && !errors.Is(err, context.Canceled) {
			t.Errorf("applied %v: %v", applied, err)
		}
	}
}

func TestDamage(t *testing.T) {
	for what, tt := range map[string]struct {
		key, body string
		want      error
	}{
		"not JSON":                 {"0000000002.json", `{"v":1`, journal.ErrDamaged},
		"another record":           {"0000000002.json", `{"v":1,"seq":3}`, journal.ErrDamaged},
		"a foreign object":         {"README", "hands off", nil},
		"a folder below":           {"old/0000000002.json", "", nil},
		"a number of another form": {"2.json", "", nil},
	} {
		t.Run(what, func(t *testing.T) {
			svc := newService(t)
			grow(t, svc.store(), journal.Record{}, 1)
			key := "journals/runpod%2Fi02xupws21hp6i.journal/" + tt.key
			if _, err := svc.Client.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(tt.body),
			}); err != nil {
				t.Fatal(err)
			}
			got, err := svc.store().Load(t.Context(), name)
			if !errors.Is(err, tt.want) || err == nil && len(got) != 1 {
				t.Errorf("Load = %v, %v, want %v", got, err, tt.want)
			}
			var partly *journal.ReadError
			if tt.want != nil && (!strings.Contains(err.Error(), key) || !errors.As(err, &partly) || partly.Line != 2 || len(partly.Records) != 1) {
				t.Errorf("error %q does not name %s, or does not have the record before it", err, key)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for _, err := range []error{
		second(s3store.New(nil, bucket, "")), second(s3store.New(&service{}, "", "")),
	} {
		if !errors.Is(err, endpoint.ErrInvalid) {
			t.Errorf("New = %v, want %v", err, endpoint.ErrInvalid)
		}
	}
}

func second(_ *s3store.Store, err error) error { return err }

// A rollout whose runner is lost is undone by another one, which waits until
// the first one's last call must be over.
func TestResumeOnAnotherMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc := newService(t)
		ep := endpointtest.NewWorkers(endpointtest.WorkersConfig{
			Templates: map[string]string{"a": "acme/sdxl:v1", "b": "acme/sdxl:v2"}, Live: "a", Min: 1, Max: 3,
		})
		before := ep.Truth()
		ep.OnMutation(func(n int, _ string) endpointtest.Fault {
			if n == 2 {
				return endpointtest.RunBefore(runtime.Goexit)
			}
			return endpointtest.Fault{}
		})
		died := make(chan struct{})
		go func() {
			defer close(died)
			_, err := rollout.Run(t.Context(), svc.store(), ep, strategy.FlushToZero{}, rollout.ToRevision("b"))
			t.Errorf("the rollout did not die: %v", err)
		}()
		<-died
		ep.OnMutation(nil)
		if _, err := rollout.Run(t.Context(), svc.store(), ep, strategy.InPlace{}, rollout.ToRevision("b")); !errors.Is(err, rollout.ErrUnfinished) {
			t.Errorf("Run = %v, want %v", err, rollout.ErrUnfinished)
		}
		began := time.Now()
		report, err := rollout.Resume(t.Context(), svc.store(), ep)
		if !errors.Is(err, rollout.ErrRolledBack) {
			t.Fatalf("Resume = %v, %v", report, err)
		}
		if took := time.Since(began); took < time.Minute {
			t.Errorf("it was resumed after %v, when a call of the first runner could still have been under way", took)
		}
		if s := ep.Truth(); s.Live != "a" || s.Min != before.Min || s.Max != before.Max {
			t.Errorf("left at %+v", s)
		}
		records, err := svc.store().Load(t.Context(), ep.Name())
		if err != nil {
			t.Fatal(err)
		}
		if last, err := json.Marshal(records[len(records)-1]); err != nil || records[len(records)-1].Kind != journal.KindEnd {
			t.Errorf("the journal ends with %s, %v", last, err)
		}
	})
}
