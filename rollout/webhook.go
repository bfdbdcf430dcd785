package rollout

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
)

// WebhookConfig says where a [Webhook] sends events, and how.
type WebhookConfig struct {
	// URL is where each event is sent with POST, as JSON of an [Event].
	URL string
	// Secret signs what is sent, as https://www.standardwebhooks.com has it. It
	// has at least 16 bytes.
	Secret []byte
	// HTTP sends the requests; nil is [http.DefaultClient]. Redirects are not followed.
	HTTP *http.Client
	// Queue is how many events may wait; 0 is 256. Those beyond are dropped.
	Queue int
	// Attempts is how often an event is sent at most; 0 is 5.
	Attempts int
	// Flush is how long [Webhook.Close] waits for the queue to empty; 0 is ten seconds.
	Flush time.Duration
}

const (
	minSecret        = 16
	webhookTimeout   = 10 * time.Second // of one attempt
	webhookBackoff   = time.Second      // after the first attempt; it doubles
	maxWebhookDelay  = time.Minute
	defaultQueue     = 256
	defaultAttempts  = 5
	defaultFlushTime = 10 * time.Second
)

// Webhook sends events to a URL, one at a time and in order, on a goroutine of its own:
// [Webhook.Observe] only puts them into a queue. Polls are left out. It is safe
// for concurrent use, and by several rollouts.
//
// An attempt takes ten seconds at most. Without an answer, and after 408, 425, 429
// and 5xx, the event is sent again after 1s, 2s, 4s and so on, up to a minute.
// Every other answer but 2xx drops the event. So each event arrives at most as
// often as it was attempted, under one webhook-id.
//
// The headers are those of Standard Webhooks: webhook-id, webhook-timestamp (the
// time of the attempt in seconds since 1970) and webhook-signature, "v1," and the
// base64 of the HMAC-SHA256 of "<id>.<timestamp>.<body>" with the secret. A
// receiver compares that in constant time, and refuses old timestamps.
type Webhook struct {
	deliver  func(ctx context.Context, id string, body []byte) error // holds the URL and the secret
	attempts int
	flush    time.Duration
	queue    chan message
	done     chan struct{} // closed when the sender has ended

	mu       sync.Mutex
	cancel   context.CancelFunc // nil until the first event
	closed   bool
	accepted int
	dropped  int
	last     error // why an event was dropped
}

type message struct {
	id   string
	body []byte
}

// NewWebhook checks the configuration and sends nothing.
func NewWebhook(c WebhookConfig) (*Webhook, error) {
	bad := func(format string, args ...any) (*Webhook, error) {
		return nil, fmt.Errorf("webhook: %w: %s", endpoint.ErrInvalid, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return bad("URL is not one of http or https with a host")
	case len(c.Secret) < minSecret:
		return bad("Secret has %d bytes, want at least %d", len(c.Secret), minSecret)
	case c.Queue < 0, c.Attempts < 0, c.Flush < 0:
		return bad("Queue %d, Attempts %d and Flush %v must not be negative", c.Queue, c.Attempts, c.Flush)
	}
	hc := http.Client{}
	if c.HTTP != nil {
		hc = *c.HTTP
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	secret, target := bytes.Clone(c.Secret), u.String()
	return &Webhook{
		deliver: func(ctx context.Context, id string, body []byte) error {
			return post(ctx, &hc, target, secret, id, body)
		},
		attempts: cmp.Or(c.Attempts, defaultAttempts), flush: cmp.Or(c.Flush, defaultFlushTime),
		queue: make(chan message, cmp.Or(c.Queue, defaultQueue)), done: make(chan struct{}),
	}, nil
}

// Observe queues an event, and returns at once. Of ctx it takes the values of the
// first event's, such as a trace; it does not matter whether ctx is done.
func (w *Webhook) Observe(ctx context.Context, e Event) {
	if e.Kind == EventPoll {
		return
	}
	body, err := json.Marshal(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted++
	switch {
	case err != nil:
		w.drop(err)
		return
	case w.closed:
		w.drop(errors.New("the webhook is closed"))
		return
	case w.cancel == nil:
		var sending context.Context
		sending, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go w.send(sending)
	}
	select {
	case w.queue <- message{"evt_" + rand.Text(), body}:
	default:
		w.drop(fmt.Errorf("the queue of %d is full", cap(w.queue)))
	}
}

// Dropped is how many events were given up so far.
func (w *Webhook) Dropped() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dropped
}

// Close takes no further events and waits until those in the queue are sent,
// until ctx is done, or for [WebhookConfig.Flush]: what is left then is dropped. The
// error says how many events were dropped in all, and why the last one was.
// Closing again changes nothing.
func (w *Webhook) Close(ctx context.Context) error {
	w.mu.Lock()
	started := w.cancel != nil
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	if started {
		limit := time.NewTimer(w.flush)
		defer limit.Stop()
		select {
		case <-w.done:
		case <-ctx.Done():
		case <-limit.C:
		}
		w.cancel()
		<-w.done // at once: sending is cancelled
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dropped == 0 {
		return nil
	}
	return fmt.Errorf("webhook: %d of %d events were not delivered: %w", w.dropped, w.accepted, w.last)
}

// drop is called with the lock held.
func (w *Webhook) drop(why error) { w.dropped, w.last = w.dropped+1, why }

// send works the queue off.
func (w *Webhook) send(ctx context.Context) {
	defer close(w.done)
	for m := range w.queue {
		if err := w.try(ctx, m); err != nil {
			w.mu.Lock()
			w.drop(err)
			w.mu.Unlock()
		}
	}
}

// try sends one event until it has arrived, or is not to be sent again.
func (w *Webhook) try(ctx context.Context, m message) error {
	delay := webhookBackoff
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return errors.New("it was not sent before the webhook was closed")
		}
		err := w.deliver(ctx, m.id, m.body)
		var temporary *temporaryError
		if err == nil || !errors.As(err, &temporary) || n >= w.attempts {
			return err
		}
		wait := time.NewTimer(delay)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
		delay = min(2*delay, maxWebhookDelay)
	}
}

// temporaryError is a failure after which an event is sent again.
type temporaryError struct{ reason string }

func (e *temporaryError) Error() string { return e.reason }

// post makes one attempt. Its errors have nothing of the URL, which can be a secret,
// and nothing of the answer.
func post(ctx context.Context, hc *http.Client, target string, secret []byte, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errors.New("the request cannot be made")
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	res, err := hc.Do(req)
	if err != nil {
		return &temporaryError{"there was no answer"}
	}
	_ = res.Body.Close()
	reason := fmt.Sprintf("the answer had status %d", res.StatusCode)
	switch s := res.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests, s >= 500:
		return &temporaryError{reason}
	}
	return errors.New(reason)
}
