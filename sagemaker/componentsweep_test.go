package sagemaker_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/changeover-dev/changeover/internal/sampled"
	"github.com/changeover-dev/changeover/rollout"
	"github.com/changeover-dev/changeover/rollout/rollouttest"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
	"github.com/changeover-dev/changeover/strategy"
)

// componentSwept is a rollout of a component to sweep.
type componentSwept struct {
	name     string
	strategy strategy.Strategy
	mode     sagemaker.AutoscalingMode
	fails    bool          // the model does not come up
	lag      time.Duration // of reads, which is less than the settle time
	early    bool          // the new specification shows while the update runs
}

func componentSweeps() []componentSwept {
	const lag = 20 * time.Second
	swap := strategy.ScaleProtectedSwap{}
	return []componentSwept{
		{name: "in place", strategy: strategy.InPlace{}, mode: sagemaker.AutoscalingAuto},
		{name: "in place, early, lagging, model fails", strategy: strategy.InPlace{}, mode: sagemaker.AutoscalingAuto, fails: true, lag: lag, early: true},
		{name: "auto, early", strategy: swap, mode: sagemaker.AutoscalingAuto, early: true},
		{name: "retain, lagging", strategy: swap, mode: sagemaker.AutoscalingRetain, lag: lag},
		{name: "retain, model fails", strategy: swap, mode: sagemaker.AutoscalingRetain, fails: true},
		{name: "suspend, lagging", strategy: swap, mode: sagemaker.AutoscalingSuspend, lag: lag},
		{name: "suspend, early, model fails", strategy: swap, mode: sagemaker.AutoscalingSuspend, fails: true, early: true},
		{name: "deregister, lagging, model fails", strategy: swap, mode: sagemaker.AutoscalingDeregister, fails: true, lag: lag},
	}
}

// sweep is the rollout, over the SDK's own clients, with something going wrong
// at each write, or each read.
func (sw componentSwept) sweep() rollouttest.Sweep {
	s := rollouttest.Sweep{
		New: sw.environment, OneIn: sampled.OneIn(128), Strategy: sw.strategy, Target: rollout.ToArtifact("model-3"), Goal: "model-3",
		Options: []rollout.Option{rollout.WithInterval(2 * time.Minute)},
		Only: []rollouttest.FaultCase{
			rollouttest.DiesBefore, rollouttest.DiesAfter, rollouttest.DiesSending, rollouttest.HangsSending, rollouttest.LostBefore,
			rollouttest.LostAfter, rollouttest.Late, rollouttest.RefusedOnce, rollouttest.RefusedAlways, rollouttest.RefusedForGood,
			rollouttest.ThrottledOnce, rollouttest.CancelledBefore, rollouttest.CancelledAfter, rollouttest.DiesReading, rollouttest.CancelledReading,
		},
	}
	if sw.fails {
		s.Goal = ""
	}
	return s
}

func (sw componentSwept) environment(t testing.TB) rollouttest.Environment {
	srv := hosting(4)
	scaledCopies(srv, 1, 6)
	srv.Behave(func(b *sagemakertest.Behaviour) {
		b.ReadLag, b.ReadFlaps, b.TargetLag = sw.lag, sw.lag > 0, sw.lag/4
		b.NewSpecificationWhileUpdating = sw.early
		b.Autoscale, b.Scale = 7*time.Minute, 20*time.Second
	})
	if sw.fails {
		srv.SetOutcome("model-3", sagemakertest.RollsBack, "the container does not start")
	}
	reader := &reader{base: srv.Client().Transport}
	cfg := srv.Config()
	cfg.HTTPClient = &http.Client{Transport: reader}
	c, err := sagemaker.NewComponentFromConfig(name, chat, cfg, sagemaker.WithAutoscalingMode(sw.mode), sagemaker.WithComponentUpdate(inBatches(60)))
	if err != nil {
		t.Fatal(err)
	}
	w := worldOf(t, srv)
	w.Updater = c
	w.OnRead = func(hook func()) { reader.hook = hook }
	w.Live = func() string { return srv.Component(chat).Model }
	return w
}

// Everything that can go wrong at the writes and the reads of a rollout of an
// inference component, while the autoscaler moves what it may.
func TestComponentSweep(t *testing.T) {
	for _, sw := range componentSweeps() {
		t.Run(sw.name, func(t *testing.T) {
			t.Parallel()
			t.Logf("swept %d points of %s", sw.sweep().Run(t), sw.name)
		})
	}
}
