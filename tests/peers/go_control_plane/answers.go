// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/genproto/googleapis/rpc/status"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

var shortNames = map[string]string{
	resource.ClusterType: "CDS", resource.EndpointType: "EDS", resource.ListenerType: "LDS", resource.RouteType: "RDS",
	workloadType: "WDS"}

// Prints "stream N: ACK CDS NONCE", "stream N: NACK CDS NONCE: why", "stream N: asks for CDS" and
// "stream N: sent CDS VERSION".
// A stream has `limit` requests, where it is not 0.
func callbacks(limit int) server.Callbacks {
	counts := counter{limit: limit, counts: map[int64]int{}}
	return server.CallbackFuncs{
		StreamOpenFunc: func(_ context.Context, id int64, _ string) error {
			fmt.Printf("stream %d: state of the world\n", id)
			return nil
		},
		DeltaStreamOpenFunc: func(_ context.Context, id int64, _ string) error {
			fmt.Printf("stream %d: delta\n", id)
			return nil
		},
		StreamClosedFunc:      func(id int64, _ *core.Node) { fmt.Printf("stream %d: over\n", id) },
		DeltaStreamClosedFunc: func(id int64, _ *core.Node) { fmt.Printf("stream %d: over\n", id) },
		StreamRequestFunc: func(id int64, request *cache.Request) error {
			answer(id, request.TypeUrl, request.ResponseNonce, request.ErrorDetail)
			return counts.add(id)
		},
		StreamDeltaRequestFunc: func(id int64, request *cache.DeltaRequest) error {
			answer(id, request.TypeUrl, request.ResponseNonce, request.ErrorDetail)
			return counts.add(id)
		},
		StreamResponseFunc: func(_ context.Context, id int64, _ *cache.Request, response *discovery.DiscoveryResponse) {
			fmt.Printf("stream %d: sent %s %s: %d\n", id, shortNames[response.TypeUrl], response.VersionInfo,
				len(response.Resources))
		},
		StreamDeltaResponseFunc: func(id int64, _ *cache.DeltaRequest, response *discovery.DeltaDiscoveryResponse) {
			fmt.Printf("stream %d: sent %s %s: %d, removed %d\n", id, shortNames[response.TypeUrl],
				response.SystemVersionInfo, len(response.Resources), len(response.RemovedResources))
		},
	}
}

// Requests by stream.
type counter struct {
	limit  int
	mutex  sync.Mutex
	counts map[int64]int
}

func (c *counter) add(id int64) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.counts[id]++
	if c.limit != 0 && c.counts[id] > c.limit {
		return errors.New("this stream has had all its requests")
	}
	return nil
}

func answer(id int64, url, nonce string, problem *status.Status) {
	switch {
	case problem != nil:
		fmt.Printf("stream %d: NACK %s %s: %s\n", id, shortNames[url], nonce, problem.Message)
	case nonce != "":
		fmt.Printf("stream %d: ACK %s %s\n", id, shortNames[url], nonce)
	default:
		fmt.Printf("stream %d: asks for %s\n", id, shortNames[url])
	}
}
