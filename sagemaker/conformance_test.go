package sagemaker_test

import (
	"testing"
	"time"

	"github.com/changeover-dev/changeover/endpoint"
	"github.com/changeover-dev/changeover/endpoint/endpointtest"
	"github.com/changeover-dev/changeover/sagemaker"
	"github.com/changeover-dev/changeover/sagemaker/sagemakertest"
)

func TestConformance(t *testing.T) {
	lagging := sagemakertest.Behaviour{
		ReadLag: 20 * time.Second, ConfigLag: 10 * time.Second, TargetLag: 5 * time.Second, NewNameWhileUpdating: true, ShowRollingBack: true,
	}
	for _, tt := range []struct {
		name  string
		level sagemaker.Level
		b     sagemakertest.Behaviour
	}{
		{"as documented, auto", sagemaker.LevelAuto, sagemakertest.Behaviour{}},
		{"as documented, deregister", sagemaker.LevelDeregister, sagemakertest.Behaviour{}},
		{"lagging, retain", sagemaker.LevelRetain, lagging},
		{"lagging, suspend", sagemaker.LevelSuspend, lagging},
		{"lagging, deregister", sagemaker.LevelDeregister, lagging},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			endpointtest.Run(t, endpointtest.Harness{New: func(t testing.TB) endpointtest.Subject {
				srv := account()
				scaled(srv, "main", 6)
				scaled(srv, "side", 4)
				srv.Behave(func(b *sagemakertest.Behaviour) { *b = tt.b })
				return endpointtest.Subject{
					Updater:   open(t, srv, sagemaker.WithLevel(tt.level)),
					To:        endpoint.Revision{Kind: sagemaker.KindEndpointConfig, ID: "c2", Artifact: "model-2"},
					Mutations: func() int { return len(srv.Mutations()) },
					Lose:      func(applied bool) { srv.Fail(sagemakertest.Call{Mutation: true}, sagemakertest.Dropped(applied)) },
					Spoil:     func() { srv.SetOutcome("model-2", sagemakertest.RollsBack, "") },
					Key:       "variant/main/instances", Value: 5,
					Artifact:   "model-3",
					Protective: func() any { return srv.Protective() },
					Secrets:    []string{secret},
				}
			}})
		})
	}
}
