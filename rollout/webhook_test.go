package rollout_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/strategy"
)

const hookSecret = "sixteen bytes and more"

// receiver is the other end of a webhook; answer says what it answers to a text.
type receiver struct {
	answer func(ctx context.Context, text string) int // 0 is no answer
	got    []string
	ids    map[string]int
	bad    error
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	id, at := req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, []byte(hookSecret))
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); req.Header.Get("Webhook-Signature") != want {
		r.bad = errors.New("the signature is wrong")
	}
	if at != strconv.FormatInt(time.Now().Unix(), 10) || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
		r.bad = fmt.Errorf("%s at %s with %v", req.Method, at, req.Header)
	}
	var e rollout.Event
	if err := json.Unmarshal(body, &e); err != nil {
		r.bad = err
	}
	r.got = append(r.got, e.Text)
	if r.ids == nil {
		r.ids = map[string]int{}
	}
	r.ids[id]++
	status := r.answer(req.Context(), e.Text)
	if status == 0 {
		return nil, fmt.Errorf("no route to %s", req.URL)
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{"Location": {"https://elsewhere.example"}}, Request: req}, nil
}

func (r *receiver) webhook(t *testing.T, edit func(*rollout.WebhookConfig)) *rollout.Webhook {
	t.Helper()
	c := rollout.WebhookConfig{URL: "https://hooks.example.com/T0/hunter2222", Secret: []byte(hookSecret), HTTP: &http.Client{Transport: r}}
	if edit != nil {
		edit(&c)
	}
	w, err := rollout.NewWebhook(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func say(text string) rollout.Event {
	return rollout.Event{Time: time.Now(), Kind: rollout.EventStep, Endpoint: "fake/sdxl", Text: text}
}

func TestWebhookRetries(t *testing.T) {
	for _, tt := range []struct {
		status int
		tries  int
		took   time.Duration
	}{
		{204, 1, 0},
		{0, 5, 15 * time.Second},
		{500, 5, 15 * time.Second},
		{503, 5, 15 * time.Second},
		{429, 5, 15 * time.Second},
		{408, 5, 15 * time.Second},
		{425, 5, 15 * time.Second},
		{400, 1, 0},
		{401, 1, 0},
		{404, 1, 0},
		{301, 1, 0},
		{307, 1, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{answer: func(context.Context, string) int { return tt.status }}
			w := r.webhook(t, func(c *rollout.WebhookConfig) { c.Flush = time.Hour })
			began := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			w.Observe(ctx, say("a"))
			cancel() // the rollout ended
			err := w.Close(t.Context())
			if took := time.Since(began); len(r.got) != tt.tries || took != tt.took || len(r.ids) != 1 || r.bad != nil {
				t.Errorf("%d: %d attempts in %v, ids %v, %v", tt.status, len(r.got), took, r.ids, r.bad)
			}
			if failed := tt.status != 204; failed != (err != nil) || failed != (w.Dropped() == 1) || strings.Contains(fmt.Sprintf("%v %+v", err, w), "hunter2222") ||
				strings.Contains(fmt.Sprintf("%+v", w), hookSecret) {
				t.Errorf("%d: Close = %v, dropped %d", tt.status, err, w.Dropped())
			}
		})
	}
}

// An event that comes through at last comes before the next.
func TestWebhookKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		r := &receiver{answer: func(context.Context, string) int {
			if n++; n < 3 {
				return 502
			}
			return 200
		}}
		w := r.webhook(t, nil)
		w.Observe(t.Context(), say("a"))
		w.Observe(t.Context(), rollout.Event{Kind: rollout.EventPoll, Text: "a poll"})
		w.Observe(t.Context(), say("b"))
		if err := w.Close(t.Context()); err != nil || w.Dropped() != 0 {
			t.Errorf("Close = %v", err)
		}
		if diff := cmp.Diff([]string{"a", "a", "a", "b"}, r.got); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

// A receiver that never answers costs no time but that of Close, which is bounded.
func TestWebhookNeverBlocks(t *testing.T) {
	for _, tt := range []struct {
		flush, caller, want time.Duration
	}{
		{0, time.Hour, 10 * time.Second},
		{3 * time.Second, time.Hour, 3 * time.Second},
		{time.Hour, 2 * time.Second, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{answer: func(ctx context.Context, _ string) int { <-ctx.Done(); return 0 }}
			w := r.webhook(t, func(c *rollout.WebhookConfig) { c.Queue, c.Flush = 2, tt.flush })
			began := time.Now()
			w.Observe(t.Context(), say("first"))
			synctest.Wait() // it is being sent
			for range 7 {
				w.Observe(t.Context(), say("more"))
			}
			if time.Since(began) != 0 || w.Dropped() != 5 {
				t.Errorf("Observe took %v, dropped %d, want 5", time.Since(began), w.Dropped())
			}
			ctx, cancel := context.WithTimeout(t.Context(), tt.caller)
			defer cancel()
			err := w.Close(ctx)
			if took := time.Since(began); took != tt.want || err == nil || !strings.Contains(err.Error(), "8 of 8 events were not delivered") || w.Dropped() != 8 {
				t.Errorf("Close = %v after %v, want %v", err, took, tt.want)
			}
			w.Observe(t.Context(), say("late"))
			if err := w.Close(t.Context()); err == nil || w.Dropped() != 9 {
				t.Errorf("Close again = %v", err)
			}
		})
	}
}

func TestWebhookIsChecked(t *testing.T) {
	good := rollout.WebhookConfig{URL: "https://example.com", Secret: []byte(hookSecret)}
	for name, edit := range map[string]func(*rollout.WebhookConfig){
		"no URL":   func(c *rollout.WebhookConfig) { c.URL = "" },
		"scheme":   func(c *rollout.WebhookConfig) { c.URL = "slack://hunter2222" },
		"no host":  func(c *rollout.WebhookConfig) { c.URL = "https:///hunter2222" },
		"secret":   func(c *rollout.WebhookConfig) { c.Secret = []byte("hunter2222") },
		"queue":    func(c *rollout.WebhookConfig) { c.Queue = -1 },
		"attempts": func(c *rollout.WebhookConfig) { c.Attempts = -1 },
		"flush":    func(c *rollout.WebhookConfig) { c.Flush = -1 },
	} {
		c := good
		edit(&c)
		if _, err := rollout.NewWebhook(c); !errors.Is(err, endpoint.ErrInvalid) || strings.Contains(err.Error(), "hunter2222") {
			t.Errorf("%s: NewWebhook = %v", name, err)
		}
	}
	w, err := rollout.NewWebhook(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Errorf("Close without an event = %v", err)
	}
}

func ExampleNewWebhook() {
	ctx, ep := context.Background(), serverless()
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e rollout.Event
		if json.NewDecoder(r.Body).Decode(&e) == nil && e.Kind == rollout.EventEnd {
			fmt.Println(e.Endpoint, e.Outcome)
		}
	}))
	defer receiver.Close()
	hook, err := rollout.NewWebhook(rollout.WebhookConfig{URL: receiver.URL, Secret: []byte("from a secret store")})
	if err != nil {
		fmt.Println(err)
		return
	}
	opts := append([]rollout.Option{rollout.WithObserver(hook.Observe)}, fast...)
	if _, err := rollout.Run(ctx, journal.NewMemory(), ep, strategy.InPlace{}, rollout.ToRevision("b"), opts...); err != nil {
		fmt.Println(err)
	}
	if err := hook.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: fake/sdxl succeeded
}
