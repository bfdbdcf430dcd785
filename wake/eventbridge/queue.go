package eventbridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/changeover-dev/changeover/endpoint"
)

// SQS is what this package calls of Amazon SQS. A *sqs.Client of the AWS SDK
// satisfies it. An HTTP client with a time limit of its own must allow for the
// 20 seconds that a request waits for messages.
type SQS interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
}

var _ SQS = (*sqs.Client)(nil)

const (
	// batch is how many messages one request brings, the most that SQS gives.
	batch = 10
	// patience is how long a request waits for a message, the longest that SQS
	// allows, in seconds.
	patience = 20
	// hidden is how long nobody else sees what was received, in seconds.
	hidden = 2
	// pause is the shortest time between two requests of which the first brought
	// nothing, and crowd where it brought nothing of ours.
	pause = time.Second
	crowd = 100 * time.Millisecond
	// first is the rest after an error. It doubles up to longest.
	first   = time.Second
	longest = time.Minute
)

// Queue wakes waits by the events in one SQS queue. It is safe for concurrent
// use. Get it from [New].
type Queue struct {
	sqs SQS
	url string

	mu      sync.Mutex
	watches map[*watch]struct{}
	stop    context.CancelFunc // of the goroutine that reads; nil while there is none
	// Of the last request of each kind.
	unread, undeleted error
}

// New returns the queue with that URL. It sends nothing until somebody watches.
func New(c SQS, url string) (*Queue, error) {
	if c == nil || url == "" {
		return nil, fmt.Errorf("eventbridge: %w: a client and the queue's URL are needed", endpoint.ErrInvalid)
	}
	return &Queue{sqs: c, url: url, watches: map[*watch]struct{}{}}, nil
}

// Watch returns a channel that gets a value when there is an event for the
// endpoint of that name, for waiter.WithWake or rollout.WithWake. The name is
// AWS's, or that of [endpoint.Updater.Name], or the endpoint's ARN, which tells
// accounts and regions apart where the queue has events of several. Watch before
// the wait begins: what happened earlier is there to be seen.
//
// stop ends the watch. It is to be called once nobody receives from the channel
// any more, which is never closed; the context lends its values only. The queue
// is read while there is a watch.
func (q *Queue) Watch(ctx context.Context, name string) (wake <-chan struct{}, stop func()) {
	w := newWatch(name)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.watches[w] = struct{}{}
	if q.stop == nil {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		q.stop = cancel
		go q.read(ctx)
	}
	return w.wake, func() { q.release(w) }
}

func (q *Queue) release(w *watch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.watches, w)
	if w.later != nil {
		w.later.Stop()
	}
	if len(q.watches) == 0 && q.stop != nil {
		q.stop()
		q.stop = nil
	}
}

// Err is why the queue could not be read, or messages not deleted, the last
// time that was tried; nil if it went well. It does not end any wait: without
// events, waits poll by their schedules.
func (q *Queue) Err() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return errors.Join(q.unread, q.undeleted)
}

// read reads the queue until its context is done.
func (q *Queue) read(ctx context.Context) {
	rest := time.Duration(0)
	for sleep(ctx, rest) {
		began := time.Now()
		out, err := q.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &q.url, MaxNumberOfMessages: batch, WaitTimeSeconds: patience, VisibilityTimeout: hidden,
		})
		if err == nil && out == nil {
			err = errors.New("no answer and no error")
		}
		q.note(ctx, &q.unread, err)
		if err != nil {
			rest = min(max(2*rest, first), longest)
			continue
		}
		ours := q.deliver(out.Messages)
		if len(ours) > 0 {
			q.note(ctx, &q.undeleted, q.remove(ctx, ours))
		}
		switch took := time.Since(began); {
		case len(out.Messages) == 0:
			rest = pause - took // it was to wait for a message
		case len(ours) == 0:
			rest = crowd - took
		default:
			rest = 0
		}
	}
}

// note keeps an error, unless it only says that nobody waits any more.
func (q *Queue) note(ctx context.Context, last *error, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() == nil {
		*last = err
	}
}

// deliver wakes the waits that messages are for, and returns those messages.
func (q *Queue) deliver(messages []types.Message) (ours []types.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, m := range messages {
		e, ok := parse(aws.ToString(m.Body))
		if !ok {
			continue
		}
		mine := false
		for w := range q.watches {
			if w.concerns(e) {
				mine = true
				if w.news(e) {
					q.wake(w, now)
				}
			}
		}
		if mine {
			ours = append(ours, m)
		}
	}
	return ours
}

// wake wakes a wait, now or as soon as it may be woken again.
func (q *Queue) wake(w *watch, now time.Time) {
	early := spacing - now.Sub(w.woken)
	switch {
	case w.later != nil: // which tells of this one too
	case early <= 0:
		w.send(now)
	default:
		w.later = time.AfterFunc(early, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			w.later = nil
			w.send(time.Now())
		})
	}
}

// remove deletes messages. What is not deleted comes again, and costs a poll;
// so may the message that woke the last wait, which is over by now.
func (q *Queue) remove(ctx context.Context, messages []types.Message) error {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.url}
	for i, m := range messages {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
	}
	out, err := q.sqs.DeleteMessageBatch(ctx, in)
	switch {
	case err != nil:
		return err
	case out != nil && len(out.Failed) > 0:
		f := out.Failed[0]
		return fmt.Errorf("%d of %d messages not deleted: %s: %s", len(out.Failed), len(messages), aws.ToString(f.Code), aws.ToString(f.Message))
	}
	return nil
}

// sleep reports whether ctx lasts for d.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
