// Command quickstart shows every strategy at work, without an account and
// without a network: RunPod and AWS are fakes in this process, and the clients,
// the journal and the strategies are the real ones. It takes some seconds of
// real time, and no flags.
//
//	go run ./examples/quickstart
//
// An endpoint goes from version to version over RunPod's REST API, in place and
// by a flush to zero. Another one alternates between two templates, which only
// GraphQL can link. Then a version fails and is rolled back, and a rollout dies
// half-way and is resumed from its journal. A SageMaker endpoint with autoscaling
// is moved by canary deployments: one succeeds, one is ended by an alarm, and
// autoscaling is as it was after both. An inference component is moved in batches,
// a check ends a canary at a tenth of the traffic, and a person approves a rollout.
// Before each act the plan is printed, and after it what the fake says is checked.
//
// Exit statuses: 0 all went as it should; 1 something did not, and the last
// line says what; 2 it was given arguments.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/examples/internal/cli"
	"github.com/changeover-dev/changeover/journal"
	"github.com/changeover-dev/changeover/page"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/runpod"
	"github.com/changeover-dev/changeover/runpod/runpodtest"
	"github.com/changeover-dev/changeover/strategy"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintf(os.Stderr, "quickstart: unexpected argument %q: it takes none\n", os.Args[1])
		os.Exit(2)
	}
	began := time.Now()
	if err := play(context.Background()); err != nil {
		fmt.Printf("\nNOT AS EXPECTED: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("\nAll as expected, in %v.\n", time.Since(began).Round(time.Second))
}

// play runs the acts. Those over one API are on one endpoint, and each begins
// where the last one ended.
func play(ctx context.Context) error {
	s, err := newStage()
	if err != nil {
		return err
	}
	fmt.Printf("%s serves %s, with 1 to 3 workers. RunPod and AWS are fakes in this process; no network is used.\n", s.ep.Name(), s.image)

	act("1. In place, over REST: name another image, and let RunPod replace the workers")
	if err := s.succeeds(ctx, strategy.InPlace{}, rollout.ToArtifact("acme/sdxl:v2"), "acme/sdxl:v2"); err != nil {
		return err
	}
	act("2. Flush to zero: take all workers away first, so that no cached image survives. This one has downtime")
	if err := s.succeeds(ctx, strategy.FlushToZero{Drain: 5 * time.Second}, rollout.ToArtifact("acme/sdxl:v3"), "acme/sdxl:v3"); err != nil {
		return err
	}
	if err := s.overGraphQL(); err != nil {
		return err
	}
	act("3. Alternating templates, over GraphQL, which alone links templates: stage the image into the idle one of two templates, and swap")
	pair := strategy.AlternatingTemplate{Templates: [2]string{blue, green}}
	if err := s.succeeds(ctx, pair, rollout.ToArtifact("acme/sdxl:v4"), "acme/sdxl:v4"); err != nil {
		return err
	}
	act("4. An image whose workers crash: rolled back, without anybody's help")
	if err := s.rollsBack(ctx, pair, rollout.ToArtifact("acme/sdxl:broken")); err != nil {
		return err
	}
	act("5. A crash at the worst moment, and the resume from the journal")
	if err := s.crashes(ctx, strategy.FlushToZero{}, rollout.ToArtifact("acme/sdxl:v5")); err != nil {
		return err
	}
	c, err := newCloud()
	if err != nil {
		return err
	}
	act("6. SageMaker: a canary deployment of an endpoint with autoscaling, which is suspended meanwhile and put back")
	if err := c.succeeds(ctx, "llm-v2"); err != nil {
		return err
	}
	act("7. SageMaker: an alarm rings while the canary bakes, and AWS rolls the deployment back")
	if err := c.rollsBack(ctx, "llm-v3", "llm-v2"); err != nil {
		return err
	}
	act("8. SageMaker: an inference component, whose copies are replaced in batches")
	if err := c.component(ctx, "llm-v1", "llm-v2"); err != nil {
		return err
	}
	act("9. SageMaker: a canary by weight, and a check that finds the new model too slow at a tenth of the traffic")
	if err := c.fails(ctx, "llm-v3", "llm-v2"); err != nil {
		return err
	}
	act("10. An approval: the rollout waits until a person decides, from another process")
	return c.approved(ctx, "llm-v3")
}

func act(title string) { fmt.Printf("\n=== %s\n\n", title) }

// The two templates of the second endpoint.
const blue, green = "sdxl-blue", "sdxl-green"

// stage is the RunPod account that the acts play on, and this program's view of it.
type stage struct {
	srv   *runpodtest.Server
	id    string
	ep    *runpod.Endpoint
	image string // what is to be served
}

func newStage() (*stage, error) {
	s := &stage{image: "acme/sdxl:v1"}
	s.srv = runpodtest.New(runpodtest.WithBehaviour(runpodtest.Behaviour{
		Tick: 300 * time.Millisecond, Terminate: 200 * time.Millisecond, QuotaField: true,
	}))
	for _, tag := range []string{"v1", "v2", "v3", "v4", "v5", "broken"} {
		i := runpodtest.Image{Ref: "acme/sdxl:" + tag, Pull: 400 * time.Millisecond, Start: 200 * time.Millisecond}
		if tag == "broken" {
			i.Fault = runpodtest.TurnsUnhealthy
		}
		s.srv.AddImage(i)
	}
	origin := s.srv.AddTemplate(runpodtest.Template{Image: s.image})
	s.id = s.srv.AddEndpoint(runpodtest.Endpoint{TemplateID: origin, WorkersMin: 1, WorkersMax: 3})
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(s.srv.Client()))
	if err != nil {
		return nil, err
	}
	s.ep = client.Endpoint(s.id)
	return s, nil
}

// overGraphQL goes on with a second endpoint, which is linked to one of two
// templates, over a second client: REST keeps no such links.
func (s *stage) overGraphQL() error {
	s.srv.AddTemplate(runpodtest.Template{ID: blue, Image: s.image})
	s.srv.AddTemplate(runpodtest.Template{ID: green, Image: "acme/sdxl:v2"})
	s.id = s.srv.AddEndpoint(runpodtest.Endpoint{TemplateID: blue, WorkersMin: 1, WorkersMax: 3})
	client, err := runpod.New(runpodtest.Key, runpod.WithHTTPClient(s.srv.Client()), runpod.WithTransport(runpod.GraphQL))
	if err != nil {
		return err
	}
	s.ep = client.Endpoint(s.id)
	return nil
}

// options are those of every rollout here: the fake is quicker than RunPod, so
// that polling more often pays.
func options(d cli.Display) []rollout.Option {
	return []rollout.Option{
		rollout.WithInterval(50 * time.Millisecond), rollout.WithSettle(200 * time.Millisecond), cli.Observe(d),
	}
}

// rollOut prints the plan, carries it out, and prints what came of it.
func rollOut(ctx context.Context, store journal.Store, u endpoint.Updater, s strategy.Strategy, t rollout.Target, more ...rollout.Option) (*rollout.Report, error) {
	d := cli.NewDisplay(os.Stdout)
	defer d.Close()
	opts := append(options(d), more...)
	plan, err := rollout.Preview(ctx, u, s, t, opts...)
	if err != nil {
		return nil, err
	}
	d.Note(plan.String())
	report, err := rollout.Run(ctx, store, u, s, t, opts...)
	d.Close()
	tell(u.Name(), report, err)
	return report, err
}

func tell(name string, report *rollout.Report, err error) {
	if report != nil {
		fmt.Print("\n", cli.Outcome(name, report))
	}
	if err != nil {
		fmt.Println("  error:", err)
	}
}

// succeeds rolls out and expects the image to be served. It needs no journal
// on disk: nobody is going to kill it.
func (s *stage) succeeds(ctx context.Context, with strategy.Strategy, to rollout.Target, image string) error {
	report, err := rollOut(ctx, journal.NewMemory(), s.ep, with, to)
	if err != nil {
		return err
	}
	s.image = image
	if report.Outcome != rollout.OutcomeSucceeded || report.Proof != "workers" {
		return fmt.Errorf("%s: %s, proven by %q", with, report.Outcome, report.Proof)
	}
	return s.check()
}

// rollsBack rolls out and expects all to be as before.
func (s *stage) rollsBack(ctx context.Context, with strategy.Strategy, to rollout.Target) error {
	_, err := rollOut(ctx, journal.NewMemory(), s.ep, with, to)
	if !errors.Is(err, rollout.ErrRolledBack) || !errors.Is(err, endpoint.ErrUnhealthy) {
		return fmt.Errorf("want a rollback for want of health: %w", err)
	}
	return s.check()
}

// crashes lets the program die between a write and the note that it was made,
// when the endpoint has no worker left. Another process would find the journal
// that it left; here the same one does.
func (s *stage) crashes(ctx context.Context, with strategy.Strategy, to rollout.Target) error {
	dir, err := os.MkdirTemp("", "quickstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := journal.NewFiles(dir)
	if err != nil {
		return err
	}
	if !dies(func() { _, err = rollOut(ctx, store, mortal{s.ep}, with, to) }) {
		return fmt.Errorf("the program was to die: %w", err)
	}
	fmt.Println("\nThe program is dead.", s.describe())

	timeline, err := rollout.Explain(ctx, store, s.ep.Name())
	if err != nil {
		return err
	}
	fmt.Printf("\nThe journal that it left, by rollout.Explain:\n\n%s\n", timeline)

	d := cli.NewDisplay(os.Stdout)
	defer d.Close()
	report, err := rollout.Resume(ctx, store, s.ep, options(d)...)
	d.Close()
	tell(s.ep.Name(), report, err)
	if err := picture(ctx, store, s.ep.Name()); err != nil {
		return err
	}
	if !errors.Is(err, rollout.ErrRolledBack) {
		return fmt.Errorf("want the resume to roll back: %w", err)
	}
	return s.check()
}

// picture writes the timeline of the rollout as a page, and says where.
func picture(ctx context.Context, store journal.Store, name string) error {
	timeline, err := page.Load(ctx, store, name)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "changeover-*.html")
	if err != nil {
		return err
	}
	if err := errors.Join(timeline.WriteHTML(file), file.Close()); err != nil {
		return err
	}
	fmt.Printf("  the same as a picture, by page.Load: %s\n", file.Name())
	return nil
}

// mortal is an endpoint whose runner dies right after the write that lets no
// worker live, before it can write down that it was made.
type mortal struct{ *runpod.Endpoint }

func (m mortal) Set(ctx context.Context, key string, value int) error {
	err := m.Endpoint.Set(ctx, key, value)
	if err == nil && key == endpoint.WorkersMax && value == 0 {
		runtime.Goexit() // stands for the end of the process
	}
	return err
}

// dies reports whether f, on a goroutine of its own, died.
func dies(f func()) (died bool) {
	died = true
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f()
		died = false
	}()
	<-ended
	return died
}

// describe says how the endpoint really is, by asking the fake.
func (s *stage) describe() string {
	e := s.srv.Endpoint(s.id)
	return fmt.Sprintf("The endpoint is left with workers.min=%d and workers.max=%d: it serves nobody.", e.WorkersMin, e.WorkersMax)
}

// check looks past the library whether the endpoint is as it has to be.
func (s *stage) check() error {
	e := s.srv.Endpoint(s.id)
	serving := 0
	for _, w := range s.srv.Workers(s.id) {
		if w.Image != s.image || w.State != runpodtest.Idle {
			return fmt.Errorf("worker %s is %s on %s, want %s", w.ID, w.State, w.Image, s.image)
		}
		serving++
	}
	if image := s.srv.Template(e.TemplateID).Image; image != s.image || serving == 0 || e.WorkersMin != 1 || e.WorkersMax != 3 {
		return fmt.Errorf("the template has %s, %d workers serve, bounds are %d and %d; want %s, 1 and 3", image, serving, e.WorkersMin, e.WorkersMax, s.image)
	}
	fmt.Printf("  checked on the fake: %d worker on %s, 1 to 3 workers allowed\n", serving, s.image)
	return nil
}
