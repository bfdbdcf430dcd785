// Command devserver is a Temporal server that keeps its state in a file, for the
// tests of package temporal: it can be killed, and started again where it was. It
// is a module of its own, so that nobody who imports that package gets the server.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	sqlite "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	schema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
)

const (
	host    = "127.0.0.1"
	name    = "active" // of the only cluster
	storage = sqlite.PluginName
)

func main() {
	db := flag.String("db", "", "the file of the state, made if there is none")
	port := flag.Int("port", 0, "the port to answer on")
	namespace := flag.String("namespace", "default", "a namespace that is made")
	suggest := flag.Int("suggest", 0, "the number of events after which a workflow should continue as a new one; 0 for the server's own")
	flag.Parse()
	if err := serve(*db, *port, *namespace, *suggest); err != nil {
		fmt.Fprintln(os.Stderr, "devserver:", err)
		os.Exit(1)
	}
}

// serve runs the server until standard input ends, as it does with the parent.
func serve(db string, port int, namespace string, suggest int) error {
	sql := &config.SQL{PluginName: storage, DatabaseName: db, ConnectAttributes: map[string]string{"mode": "rwc"}}
	if _, err := os.Stat(db); errors.Is(err, fs.ErrNotExist) {
		if err := schema.SetupSchema(sql); err != nil {
			return err
		}
	}
	ns, err := schema.NewNamespaceConfig(name, namespace, false, nil)
	if err != nil {
		return err
	}
	if err := schema.CreateNamespaces(sql, ns); err != nil {
		return err
	}
	cfg, err := configuration(sql, port)
	if err != nil {
		return err
	}
	settings := dynamicconfig.StaticClient{}
	if suggest > 0 {
		settings[dynamicconfig.HistoryCountSuggestContinueAsNew.Key()] = suggest
	}
	srv, err := temporal.NewServer(temporal.WithConfig(cfg), temporal.ForServices(temporal.DefaultServices), temporal.WithLogger(log.NewNoopLogger()),
		temporal.WithDynamicConfigClient(settings))
	if err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return err
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	return srv.Stop()
}

func configuration(sql *config.SQL, port int) (*config.Config, error) {
	address := net.JoinHostPort(host, fmt.Sprint(port))
	cfg := &config.Config{
		Global: config.Global{Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: host}},
		Persistence: config.Persistence{
			DefaultStore: storage, VisibilityStore: storage, NumHistoryShards: 1,
			DataStores: map[string]config.DataStore{storage: {SQL: sql}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: name, CurrentClusterName: name,
			ClusterInformation: map[string]cluster.ClusterInformation{name: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: address},
		Archival: config.Archival{
			History: config.HistoryArchival{State: "disabled"}, Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History: config.HistoryArchivalNamespaceDefaults{State: "disabled"}, Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		Services: map[string]config.Service{},
	}
	for _, service := range temporal.DefaultServices {
		ports, err := free(2)
		if err != nil {
			return nil, err
		}
		rpc := config.RPC{GRPCPort: ports[0], MembershipPort: ports[1], BindOnLocalHost: true}
		if service == "frontend" {
			rpc.GRPCPort = port
		}
		cfg.Services[service] = config.Service{RPC: rpc}
	}
	return cfg, nil
}

// free returns n ports that nothing listens on.
func free(n int) (ports []int, _ error) {
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
