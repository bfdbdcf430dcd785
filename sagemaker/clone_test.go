package sagemaker

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sm "github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker/types"
	"github.com/google/go-cmp/cmp"
)

// filler sets every field of the SDK's structs, however deep, each scalar to
// another value.
type filler struct {
	t *testing.T
	n int
}

func (f *filler) fill(v reflect.Value, at string) {
	f.n++
	switch v.Kind() { //nolint:exhaustive // the SDK has no other kinds, and the default says so
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), at)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(f.n), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				f.fill(v.Field(i), at+"."+field.Name)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			f.fill(v.Index(i), fmt.Sprintf("%s[%d]", at, i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf(fmt.Sprintf("value-%d", f.n)))
	case reflect.String:
		v.SetString(fmt.Sprintf("value-%d", f.n))
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n) / 7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Interface:
		switch v.Type() {
		case reflect.TypeFor[cwtypes.EvaluationCriteria]():
			v.Set(reflect.ValueOf(&cwtypes.EvaluationCriteriaMemberPromQLCriteria{}))
		case reflect.TypeFor[cwtypes.EvaluationWindow]():
			v.Set(reflect.ValueOf(&cwtypes.EvaluationWindowMemberSlidingWindow{}))
		default:
			f.t.Fatalf("%s is a union of the SDK's, %v: copying it has to be decided on", at, v.Type())
		}
	default:
		f.t.Fatalf("%s is a %v: copying it has to be decided on", at, v.Kind())
	}
}

func filled[T any](t *testing.T) *T {
	t.Helper()
	v := new(T)
	f := &filler{t: t}
	rv := reflect.ValueOf(v).Elem()
	for i := range rv.NumField() {
		if field := rv.Type().Field(i); field.IsExported() && field.Name != "ResultMetadata" {
			f.fill(rv.Field(i), field.Name)
		}
	}
	return v
}

// mapped holds a copy to the fields of its original: each is copied, or named
// as dropped. A field that a new version of the SDK adds fails it.
func mapped(t *testing.T, from, to any, dropped, added []string) {
	t.Helper()
	src, dst := reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem()
	for i := range src.NumField() {
		field := src.Type().Field(i)
		if !field.IsExported() || slices.Contains(dropped, field.Name) {
			continue
		}
		copied := dst.FieldByName(field.Name)
		switch {
		case !copied.IsValid():
			t.Errorf("%v.%s is neither mapped nor listed as dropped", src.Type(), field.Name)
		case copied.Type() != field.Type:
			t.Errorf("%v.%s is %v there and %v here", src.Type(), field.Name, copied.Type(), field.Type)
		case !reflect.DeepEqual(copied.Interface(), src.Field(i).Interface()):
			t.Errorf("%v.%s is not copied", src.Type(), field.Name)
		}
	}
	for i := range dst.NumField() {
		field := dst.Type().Field(i)
		if !field.IsExported() || slices.Contains(added, field.Name) {
			continue
		}
		if !src.FieldByName(field.Name).IsValid() {
			t.Errorf("%v.%s comes from nowhere", dst.Type(), field.Name)
		}
	}
}

func TestEveryFieldOfAConfigIsCloned(t *testing.T) {
	described := filled[sm.DescribeEndpointConfigOutput](t)
	in, err := inputOf(described)
	if err != nil {
		t.Fatal(err)
	}
	mapped(t, described, in, []string{"EndpointConfigArn", "CreationTime", "ResultMetadata"}, []string{"Tags"})
	in.ProductionVariants[0].VariantName = ptr("another")
	if *described.ProductionVariants[0].VariantName == "another" {
		t.Error("the clone shares memory with what was described")
	}
}

// What a component's specification says is written again, but for what a model
// has and a rollout keeps no copy of.
func TestEveryFieldOfASpecificationIsCopied(t *testing.T) {
	s := filled[types.InferenceComponentSpecificationSummary](t)
	spec := specificationOf(s)
	mapped(t, s, &spec, []string{"Container", "DataCacheConfig"}, []string{"Container", "DataCacheConfig"})
	if *spec.DataCacheConfig.EnableCaching != *s.DataCacheConfig.EnableCaching {
		t.Error("DataCacheConfig is not copied")
	}
	from, to := reflect.TypeFor[types.InferenceComponentContainerSpecificationSummary](), reflect.ValueOf(*spec.Container)
	for i := range from.NumField() {
		name := from.Field(i).Name
		secret := slices.Contains([]string{"ArtifactUrl", "DeployedImage", "Environment", "noSmithyDocumentSerde"}, name)
		if f := to.FieldByName(name); !secret && (!f.IsValid() || f.IsZero()) {
			t.Errorf("Container.%s is neither copied nor listed as a model's", name)
		}
	}
	if n := reflect.TypeFor[types.InferenceComponentDataCacheConfigSummary]().NumField(); n != 2 {
		t.Errorf("DataCacheConfig has %d fields: copying them has to be decided on", n)
	}
}

// changedDefaults are the fields whose default differs between configurations
// that were made before a time and later ones. A clone has them in writing.
var changedDefaults = map[string]time.Time{"MetricsConfig.EnableDetailedObservability": observabilityDefault}

func TestChangedDefaultsArePinned(t *testing.T) {
	for field, since := range changedDefaults {
		for _, said := range []*types.MetricsConfig{nil, {EnableEnhancedMetrics: ptr(true)}, {EnableDetailedObservability: ptr(true)}, {EnableDetailedObservability: ptr(false)}} {
			for made, byDefault := range map[time.Time]bool{since.Add(-time.Second): false, since: true} {
				in, err := meaning(&sm.DescribeEndpointConfigOutput{MetricsConfig: said, CreationTime: &made})
				if err != nil {
					t.Fatal(err)
				}
				want := byDefault
				if said != nil && said.EnableDetailedObservability != nil {
					want = *said.EnableDetailedObservability
				}
				if got := in.MetricsConfig.EnableDetailedObservability; got == nil || *got != want {
					t.Errorf("%s of a configuration of %v that says %s: want %t", field, made, text(said), want)
				}
				if said != nil && said.EnableEnhancedMetrics != nil && !deref(in.MetricsConfig.EnableEnhancedMetrics) {
					t.Errorf("EnableEnhancedMetrics is lost")
				}
			}
		}
	}
}

// Whatever a configuration says, the body of a draft says it too.
func TestDraftBodyRoundTrips(t *testing.T) {
	in := filled[sm.CreateEndpointConfigInput](t)
	in.ProductionVariants, in.ShadowProductionVariants = in.ProductionVariants[:1], in.ShadowProductionVariants[:1]
	body, err := encode(in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodeBody(body)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, again) {
		t.Errorf("the body says something else:\n%s", cmp.Diff(document(in), document(again)))
	}
	for i := range reflect.TypeFor[types.ProductionVariant]().NumField() {
		field := reflect.TypeFor[types.ProductionVariant]().Field(i)
		if field.IsExported() && reflect.ValueOf(again.ProductionVariants[0]).Field(i).IsZero() {
			t.Errorf("ProductionVariant.%s is lost", field.Name)
		}
	}
	// What is set to zero is not what is left out.
	zero := &sm.CreateEndpointConfigInput{
		EndpointConfigName: ptr("c"), EnableNetworkIsolation: ptr(false), KmsKeyId: ptr(""),
		ProductionVariants: []types.ProductionVariant{{
			VariantName: ptr("v"), InitialVariantWeight: ptr[float32](0), ManagedInstanceScaling: &types.ProductionVariantManagedInstanceScaling{},
		}},
	}
	if body, err = encode(zero); err != nil {
		t.Fatal(err)
	}
	if again, err = decodeBody(body); err != nil || !reflect.DeepEqual(zero, again) {
		t.Errorf("%s becomes %+v, %v", body, again, err)
	}
}

func TestEveryFieldOfAnAlarmIsCopied(t *testing.T) {
	a := filled[cwtypes.MetricAlarm](t)
	in := alarmInput(a)
	mapped(t, a, in, []string{
		"AlarmArn", "AlarmConfigurationUpdatedTimestamp", "EvaluationState",
		"StateReason", "StateReasonData", "StateTransitionedTimestamp", "StateUpdatedTimestamp", "StateValue",
	}, []string{"Tags"})
	_ = cw.PutMetricAlarmInput(*in)
}

func TestOverlay(t *testing.T) {
	variants := []types.ProductionVariant{
		{VariantName: ptr("busy"), ModelName: ptr("m"), InitialInstanceCount: ptr[int32](1), InitialVariantWeight: ptr[float32](2), AcceleratorType: "ml.eia1.large"},
		{VariantName: ptr("idle"), ModelName: ptr("m"), InitialInstanceCount: ptr[int32](3)},
		{VariantName: ptr("lambda"), ModelName: ptr("m"), ServerlessConfig: &types.ProductionVariantServerlessConfig{MemorySizeInMB: ptr[int32](1024), MaxConcurrency: ptr[int32](5)}},
		{VariantName: ptr("components"), InitialInstanceCount: ptr[int32](1), InitialVariantWeight: ptr[float32](1)},
		{VariantName: ptr("new"), ModelName: ptr("m"), InitialInstanceCount: ptr[int32](7)},
	}
	overlay(variants, []types.ProductionVariantSummary{
		{VariantName: ptr("busy"), DesiredInstanceCount: ptr[int32](9)},
		{VariantName: ptr("idle"), DesiredInstanceCount: ptr[int32](0)},
		{VariantName: ptr("lambda"), DesiredServerlessConfig: &types.ProductionVariantServerlessConfig{MemorySizeInMB: ptr[int32](2048), MaxConcurrency: ptr[int32](8), ProvisionedConcurrency: ptr[int32](2)}},
		{VariantName: ptr("components"), DesiredInstanceCount: ptr[int32](2)},
	})
	want := []types.ProductionVariant{
		{VariantName: ptr("busy"), ModelName: ptr("m"), InitialInstanceCount: ptr[int32](9), InitialVariantWeight: ptr[float32](2)},
		{VariantName: ptr("idle"), ModelName: ptr("m"), InitialInstanceCount: ptr[int32](3)},
		{VariantName: ptr("lambda"), ModelName: ptr("m"), ServerlessConfig: &types.ProductionVariantServerlessConfig{MemorySizeInMB: ptr[int32](2048), MaxConcurrency: ptr[int32](8), ProvisionedConcurrency: ptr[int32](2)}},
		{VariantName: ptr("components"), InitialInstanceCount: ptr[int32](2)},
		{VariantName: ptr("new"), ModelName: ptr("m"), InitialInstanceCount: ptr[int32](7)},
	}
	if diff := cmp.Diff(document(want), document(variants)); diff != "" {
		t.Errorf("overlay (-want +got):\n%s", diff)
	}
}
