package sagemaker

import (
	"errors"
	"strings"
	"testing"
	"time"

	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"

	"github.com/changeover-dev/changeover/endpoint"
)

func TestSwap(t *testing.T) {
	of := func(name, model string, pools ...string) types.ProductionVariant {
		v := types.ProductionVariant{VariantName: &name}
		if model != "" {
			v.ModelName = &model
		}
		for _, p := range pools {
			pool := types.InstancePool{InstanceType: "ml.g5.xlarge"}
			if p != "" {
				pool.ModelNameOverride = &p
			}
			v.InstancePools = append(v.InstancePools, pool)
		}
		return v
	}
	variants := func(vs ...types.ProductionVariant) []types.ProductionVariant { return vs }
	for _, tt := range []struct {
		name               string
		production, shadow []types.ProductionVariant
		was, artifact      string
		want               string
		err                error
	}{
		{"one", variants(of("main", "a")), nil, "a", "b", "b", nil},
		{"two of one model", variants(of("main", "a"), of("side", "a")), nil, "a", "b", "b", nil},
		{"two models", variants(of("main", "a"), of("canary", "b")), nil, "canary=b,main=a", "c", "c", nil},
		{"one of two", variants(of("main", "a"), of("canary", "a")), nil, "a", "canary=b", "canary=b,main=a", nil},
		{"shadow stays", variants(of("main", "a")), variants(of("shade", "a")), "main=a,shade=a", "b", "main=b,shade=a", nil},
		{"shadow by name", variants(of("main", "a")), variants(of("shade", "a")), "main=a,shade=a", "shade=b", "main=a,shade=b", nil},
		{"pools", variants(of("main", "a", "", "a-small")), nil, "main=a+a-small", "b", "b", nil},
		{"pools only", variants(of("main", "", "x", "y")), nil, "main=x+y", "b", "b", nil},
		{"inference components", variants(of("main", "")), nil, "", "b", "", endpoint.ErrInvalid},
		{"no such variant", variants(of("main", "a")), nil, "a", "side=b", "", endpoint.ErrInvalid},
		{"twice", variants(of("main", "a")), nil, "a", "main=b,main=c", "", endpoint.ErrInvalid},
		{"bad name", variants(of("main", "a")), nil, "a", "b_c", "", endpoint.ErrInvalid},
		{"empty", variants(of("main", "a")), nil, "a", "", "", endpoint.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := artifactOf(tt.production, tt.shadow); got != tt.was {
				t.Errorf("artifact %q, want %q", got, tt.was)
			}
			in := &sm.CreateEndpointConfigInput{ProductionVariants: tt.production, ShadowProductionVariants: tt.shadow}
			err := swap(in, tt.artifact)
			if !errors.Is(err, tt.err) {
				t.Fatalf("swap = %v, want %v", err, tt.err)
			}
			if err == nil {
				if got := artifactOf(in.ProductionVariants, in.ShadowProductionVariants); got != tt.want {
					t.Errorf("artifact %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	now := time.Date(2026, 11, 22, 18, 30, 5, 0, time.UTC)
	long := strings.Repeat("a", 38) + "-" + strings.Repeat("b", 24)
	for _, e := range []string{"sdxl", "a", long, long[:62] + "c", strings.Repeat("x", 63)} {
		n := mintName(e, now)
		if !entityName.MatchString(n) || !isOwnName(e, n) || !strings.Contains(n, "-co-20261122183005-") {
			t.Errorf("name %q of endpoint %q", n, e)
		}
		for _, other := range []string{"other", e + "y", long} {
			if other != e && isOwnName(other, n) {
				t.Errorf("%q passes for a name of endpoint %q", n, other)
			}
		}
	}
	for _, n := range []string{"sdxl", "sdxl-co-", "sdxl-co-20261122183005", "sdxl-co-20261122183005-abcd-x", "sdxl-co-2026112218300x-abcd"} {
		if isOwnName("sdxl", n) {
			t.Errorf("%q passes for a name of this package", n)
		}
	}
}
