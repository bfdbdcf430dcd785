package eventbridge_test

import (
	"context"
	"crypto/md5" //nolint:gosec // SQS's own check of a message's body
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/changeover-dev/changeover/internal/inproc"
	"github.com/changeover-dev/changeover/wake/eventbridge"
)

const queueURL = "https://sqs.eu-west-1.amazonaws.com/111122223333/changeover-events"

// service is a standard queue of SQS in this process, behind the real client.
// Its clock is that of the bubble, its long polls wait.
type service struct {
	retention time.Duration
	// again hands a message out once more after it was deleted, as a standard
	// queue may.
	again bool
	// hasty: an empty answer comes at once.
	hasty bool
	// befall says what is to befall a request; nil for nothing.
	befall func(op string, n int) fault

	mu       sync.Mutex
	messages []*message
	arrived  chan struct{} // closed when a message comes, or becomes visible
	calls    []call
	under    int // requests to receive that are under way
	most     int
	minted   int
}

type message struct {
	id, body, handle string
	expires, visible time.Time
	received         int
	deleted          bool
}

type call struct {
	at time.Time
	op string
	in request
}

// fault is an error of the service, or a broken connection, in place of the answer.
type fault struct {
	status        int
	code, message string
	drop          bool
}

func newService() *service {
	return &service{retention: 2 * time.Minute, arrived: make(chan struct{})}
}

func (s *service) client() *sqs.Client {
	return sqs.New(sqs.Options{
		Region: "eu-west-1", HTTPClient: inproc.Client(s),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
		}),
	})
}

func (s *service) queue(t testing.TB) *eventbridge.Queue {
	t.Helper()
	q, err := eventbridge.New(s.client(), queueURL)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// send puts a message into the queue, after d.
func (s *service) send(d time.Duration, body string) {
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.minted++
		s.messages = append(s.messages, &message{id: fmt.Sprintf("m-%d", s.minted), body: body, expires: time.Now().Add(s.retention)})
		s.announce()
	})
}

func (s *service) announce() {
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// left are the bodies of the messages that are in the queue, seen or not.
func (s *service) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, m := range s.messages {
		if !m.deleted && time.Now().Before(m.expires) {
			all = append(all, m.body)
		}
	}
	return all
}

// atOnce are the requests to receive that are under way, and the most that were.
func (s *service) atOnce() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under, s.most
}

// receives are the times of the requests to receive, since start.
func (s *service) receives(start time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []time.Duration
	for _, c := range s.calls {
		if c.op == "ReceiveMessage" {
			all = append(all, c.at.Sub(start))
		}
	}
	return all
}

type request struct {
	QueueUrl            *string //nolint:revive // AWS's name
	MaxNumberOfMessages *int
	WaitTimeSeconds     *int
	VisibilityTimeout   *int
	Entries             []struct{ Id, ReceiptHandle *string } //nolint:revive // AWS's name
}

// ServeHTTP speaks AWS's JSON protocol 1.0.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	var in request
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	switch {
	case err != nil, d.Decode(&in) != nil:
		refuse(w, 400, "SerializationException", string(body))
		return
	case r.Method != http.MethodPost, service != "AmazonSQS", r.Header.Get("Content-Type") != "application/x-amz-json-1.0":
		refuse(w, 400, "UnknownOperationException", r.Method+" "+r.Header.Get("X-Amz-Target"))
		return
	case !strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/sqs/aws4_request"):
		refuse(w, 403, "MissingAuthenticationToken", r.Header.Get("Authorization"))
		return
	case in.QueueUrl == nil || *in.QueueUrl != queueURL:
		refuse(w, 400, "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
		return
	}
	s.mu.Lock()
	s.calls = append(s.calls, call{time.Now(), op, in})
	n := 0
	for _, c := range s.calls {
		if c.op == op {
			n++
		}
	}
	s.mu.Unlock()
	if s.befall != nil {
		switch f := s.befall(op, n); {
		case f.drop:
			panic(http.ErrAbortHandler)
		case f.status != 0:
			refuse(w, f.status, f.code, f.message)
			return
		}
	}
	switch op {
	case "ReceiveMessage":
		s.receive(w, r, in)
	case "DeleteMessageBatch":
		s.remove(w, in)
	default:
		refuse(w, 400, "UnknownOperationException", op)
	}
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	answer(w, map[string]any{"__type": code, "message": text})
}

func answer(w io.Writer, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func outside(p *int, least, most int) bool { return p != nil && (*p < least || *p > most) }

func (s *service) receive(w http.ResponseWriter, r *http.Request, in request) {
	if outside(in.MaxNumberOfMessages, 1, 10) || outside(in.WaitTimeSeconds, 0, 20) || outside(in.VisibilityTimeout, 0, 43200) {
		refuse(w, 400, "InvalidParameterValue", "a parameter is out of range")
		return
	}
	number, patience, hidden := 1, 0, 30
	for p, v := range map[*int]*int{&number: in.MaxNumberOfMessages, &patience: in.WaitTimeSeconds, &hidden: in.VisibilityTimeout} {
		if v != nil {
			*p = *v
		}
	}
	if s.hasty {
		patience = 0
	}
	s.mu.Lock()
	s.under++
	s.most = max(s.most, s.under)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.under--
	}()
	over := time.NewTimer(time.Duration(patience) * time.Second)
	defer over.Stop()
	for {
		found, arrived, next := s.take(number, time.Duration(hidden)*time.Second)
		if len(found) > 0 {
			answer(w, map[string]any{"Messages": found})
			return
		}
		appears := time.NewTimer(next)
		select {
		case <-arrived:
		case <-appears.C:
		case <-over.C:
			appears.Stop()
			answer(w, map[string]any{})
			return
		case <-r.Context().Done():
			appears.Stop()
			panic(http.ErrAbortHandler)
		}
		appears.Stop()
	}
}

// take hides and returns messages, or tells when to look again.
func (s *service) take(number int, hidden time.Duration) (found []map[string]any, arrived <-chan struct{}, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	next = time.Hour
	s.messages = slices.DeleteFunc(s.messages, func(m *message) bool { return !now.Before(m.expires) })
	for _, m := range s.messages {
		switch {
		case m.deleted && (!s.again || m.received > 1), len(found) == number:
			continue
		case now.Before(m.visible):
			next = min(next, m.visible.Sub(now))
			continue
		}
		s.minted++
		m.handle, m.visible = fmt.Sprintf("h-%d", s.minted), now.Add(hidden)
		m.received++
		sum := md5.Sum([]byte(m.body)) //nolint:gosec // as above
		found = append(found, map[string]any{
			"MessageId": m.id, "Body": m.body, "MD5OfBody": hex.EncodeToString(sum[:]), "ReceiptHandle": m.handle,
		})
	}
	return found, s.arrived, next
}

func (s *service) remove(w http.ResponseWriter, in request) {
	if len(in.Entries) == 0 || len(in.Entries) > 10 {
		refuse(w, 400, "com.amazonaws.sqs#EmptyBatchRequest", "There must be 1 to 10 entries.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	done, failed := []map[string]any{}, []map[string]any{}
	seen := map[string]bool{}
	for _, e := range in.Entries {
		switch {
		case e.Id == nil || seen[*e.Id]:
			refuse(w, 400, "com.amazonaws.sqs#BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.")
			return
		case e.ReceiptHandle == nil || !strings.HasPrefix(*e.ReceiptHandle, "h-"):
			failed = append(failed, map[string]any{"Id": *e.Id, "SenderFault": true, "Code": "ReceiptHandleIsInvalid", "Message": "The input receipt handle is invalid."})
			continue
		}
		seen[*e.Id] = true
		for _, m := range s.messages {
			if m.handle == *e.ReceiptHandle { // one that is not the last one does nothing
				m.deleted = true
			}
		}
		done = append(done, map[string]any{"Id": *e.Id})
	}
	answer(w, map[string]any{"Successful": done, "Failed": failed})
}
