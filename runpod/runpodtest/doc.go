// Package runpodtest is RunPod in a box: the part of RunPod Serverless that a
// program deploys against, as an [http.Handler] with a client that needs no
// socket. Templates, endpoints, workers and jobs are a state machine on the
// clock of package time, so that a test in a testing/synctest bubble sees exact
// durations and a day passes in no time.
//
// A test of one's own program, whose Deploy takes an *http.Client, a key, an
// endpoint and the template to move it to:
//
//	func TestDeploy(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			srv := runpodtest.New()
//			v1 := srv.AddTemplate(runpodtest.Template{Image: "acme/sdxl:v1"})
//			v2 := srv.AddTemplate(runpodtest.Template{Image: "acme/sdxl:v2"})
//			id := srv.AddEndpoint(runpodtest.Endpoint{TemplateID: v1, WorkersMin: 1, WorkersMax: 3})
//			srv.Fail(runpodtest.Call{Op: runpodtest.Mutation}, runpodtest.Dropped(true)) // applied, but who knows
//			if err := Deploy(t.Context(), srv.Client(), runpodtest.Key, id, v2); err != nil {
//				t.Error(err)
//			}
//			for _, w := range srv.Workers(id) {
//				if w.TemplateID != v2 || w.State != runpodtest.Idle {
//					t.Errorf("worker %+v", w)
//				}
//			}
//		})
//	}
//
// The base URLs that the program uses do not matter, only their paths: POST
// /graphql and what is below /v2/serverless and /v2/templates are the management
// plane (api.runpod.io), /v2/{endpoint}/health, run, runsync, status/{job},
// cancel/{job} and purge-queue are the job plane (api.runpod.ai).
// httptest.NewServer(srv) serves
// a program that runs in another process.
//
// What a test can do beside seeding:
//
//   - [Server.Fail] and [Server.OnMutation] let calls go wrong: refused,
//     throttled, slow, cut short, lost before or after they took effect, forgotten.
//   - [Behaviour] switches what the real service does only sometimes: reads
//     that lag, releases that get stuck, lists on pages, cursors that lead nowhere,
//     GraphQL that is limited or gone, an API that says one thing and does another.
//   - [Image] says which images work, and how the others fail.
//   - [Server.Do] and [Server.At] change the account as another person would, and
//     as RunPod does: [State.Build] releases what came of a build,
//     [State.AddBatchWorkers] starts the workers of a batch job.
//   - [Server.Endpoint], [Server.Template], [Server.Workers], [Server.Jobs],
//     [Server.Requests] and [Server.Mutations] tell what is true and what was asked.
//
// It is at least as strict as the service. GraphQL requests are parsed,
// validated and executed by a GraphQL library against a schema that hides what
// RunPod hides: introspection is off, and the input types whose names are not
// published have other names in every process. A key in a URL is refused. Bodies of
// REST requests are held to the published specification: a key that it does not
// have is refused by name. Answers have no other fields than that.
//
// What it does not do: creating and deleting endpoints and templates over REST
// (but for DELETE of a template), pods, network volumes, registries, builds, billing,
// streaming, job time-outs and priorities, and how scalers weigh a queue: there
// is one worker per job, up to the maximum.
package runpodtest
