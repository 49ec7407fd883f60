// SPDX-License-Identifier: Apache-2.0
// An ADS server on the go-control-plane library, for the tests beside it. `PUT /?version=V` on the control
// address replaces everything that it serves by the body: YAML with `resources`, in which each resource has
// an "@type". stdout has a line for each stream and for each answer of a client.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

func main() {
	address := flag.String("listen", "127.0.0.1:18000", "where ADS is served")
	control := flag.String("control", "127.0.0.1:18001", "where the test tells what to serve")
	kind := flag.String("cache", "snapshot", "snapshot: all types have one version; linear: a cache for each type")
	workloads := flag.Bool("workloads", false, "linear: serve workloads, too; without, a stream ends that asks for them")
	requests := flag.Int("requests-per-stream", 0, "a stream is ended with the request after so many; 0: none is")
	flag.Parse()
	log.SetFlags(log.Lmicroseconds)

	if *workloads {
		typeURLs = append(typeURLs, workloadType)
	}
	caches := map[string]func() served{"snapshot": newSnapshots, "linear": newLinear}
	open, known := caches[*kind]
	if !known {
		log.Fatalf("--cache: no such cache: %s", *kind)
	}
	state := open()
	go func() { log.Fatal(http.ListenAndServe(*control, handler(state))) }()

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	rpc := grpc.NewServer()
	ads := server.NewServer(context.Background(), state.cache(), callbacks(*requests))
	discovery.RegisterAggregatedDiscoveryServiceServer(rpc, ads)
	fmt.Println("serving")
	log.Fatal(rpc.Serve(listener))
}

func handler(state served) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err == nil {
			var resources resourcesByType
			if resources, err = parse(body); err == nil {
				err = state.set(request.URL.Query().Get("version"), resources)
			}
		}
		if err != nil {
			http.Error(writer, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(writer, "ok")
	})
}
