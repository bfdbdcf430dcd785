package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// browser is the context of the browser of all tests, nil if there is none.
var browser context.Context

func TestMain(m *testing.M) { os.Exit(run(m)) }

const missing = "SKIPPED: Chromium is not installed, in Debian the package chromium: no page was opened in a browser"

func run(m *testing.M) int {
	path, err := chromium()
	if err != nil {
		fmt.Println(missing)
		return m.Run() // each test is skipped, and says why
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU)
	if os.Getuid() == 0 { // as whom it has no sandbox
		opts = append(opts, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	defer stop()
	ctx, end := chromedp.NewContext(allocator)
	defer end()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Println("Chromium does not start:", err)
		return 1
	}
	browser = ctx
	return m.Run()
}

func chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New(missing)
}

// tab is one page of the browser, with what its console said.
type tab struct {
	context.Context
	t testing.TB

	mu    sync.Mutex
	heard []string
}

// open opens a tab. What goes wrong on its page fails the test at its end.
func open(t testing.TB) *tab {
	t.Helper()
	if browser == nil {
		t.Skip(missing)
	}
	ctx, closeTab := chromedp.NewContext(browser)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	x := &tab{Context: ctx, t: t}
	console := chromedp.Console(ctx)
	dialogs := chromedp.Events(ctx, page.JavascriptDialogOpening)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if !strings.HasSuffix(m.URL, "/favicon.ico") {
				x.wrong("the console: " + m.String())
			}
		}
	}()
	go func() {
		for d, err := range dialogs {
			if err != nil {
				return
			}
			x.wrong("a dialog: " + d.Message)
		}
	}()
	t.Cleanup(func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, w := range x.heard {
			t.Error(w)
		}
		cancel()
		closeTab()
	})
	return x
}

func (x *tab) wrong(text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.heard = append(x.heard, text)
}

func (x *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	if err := chromedp.Do(x, actions...); err != nil {
		x.t.Fatal(err)
	}
}

// eval returns what an expression comes to on the page.
func eval[T any](x *tab, expression string) T {
	x.t.Helper()
	v, err := chromedp.Run(x, chromedp.Evaluate[T](expression))
	if err != nil {
		x.t.Fatal(err)
	}
	return v
}

// until waits until an expression is true on the page.
func (x *tab) until(expression string) {
	x.t.Helper()
	for {
		ok, err := chromedp.Run(x, chromedp.Evaluate[bool](expression))
		if ok && err == nil {
			return
		}
		select {
		case <-x.Done():
			x.t.Fatalf("never became true: %s (%v)", expression, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// call sends a command of the browser's protocol.
func call[P any](x *tab, c cdp.Command[P, cdp.Empty], params P) {
	x.t.Helper()
	x.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	}))
}

// show sets the width, the colour scheme and the medium.
func (x *tab) show(width int64, scheme, medium string) {
	x.t.Helper()
	call(x, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
	call(x, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: medium, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}
