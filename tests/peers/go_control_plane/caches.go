// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

var typeURLs = []string{resource.ClusterType, resource.EndpointType, resource.ListenerType, resource.RouteType}

// What is served, in one of the library's caches.
type served interface {
	cache() cache.Cache
	// Replaces everything.
	set(version string, resources resourcesByType) error
}

// All clients are one node.
type oneNode struct{}

func (oneNode) ID(*core.Node) string { return "all" }

type snapshots struct{ snapshots cache.SnapshotCache }

func newSnapshots() served { return &snapshots{cache.NewSnapshotCache(true, oneNode{}, nil)} }

func (s *snapshots) cache() cache.Cache { return s.snapshots }

func (s *snapshots) set(version string, resources resourcesByType) error {
	lists := map[resource.Type][]types.Resource{}
	for _, url := range typeURLs {
		lists[url] = []types.Resource{}
		for _, one := range resources[url] {
			lists[url] = append(lists[url], one)
		}
	}
	snapshot, err := cache.NewSnapshot(version, lists)
	if err != nil {
		return err
	}
	return s.snapshots.SetSnapshot(context.Background(), "all", snapshot)
}

// The versions are the caches' own.
type linear struct {
	mutex  sync.Mutex
	caches map[string]*cache.LinearCache
}

func newLinear() served {
	// The versions of an earlier process are other versions.
	prefix := fmt.Sprintf("%x-", time.Now().UnixNano())
	made := &linear{caches: map[string]*cache.LinearCache{}}
	for _, url := range typeURLs {
		made.caches[url] = cache.NewLinearCache(url, cache.WithVersionPrefix(prefix))
	}
	return made
}

func (l *linear) cache() cache.Cache {
	mux := &cache.MuxCache{
		Classify:      func(request *cache.Request) string { return request.TypeUrl },
		ClassifyDelta: func(request *cache.DeltaRequest) string { return request.TypeUrl },
		Caches:        map[string]cache.Cache{},
	}
	for url, one := range l.caches {
		mux.Caches[url] = one
	}
	return mux
}

func (l *linear) set(_ string, resources resourcesByType) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, url := range typeURLs {
		before := l.caches[url].GetResources()
		changed, gone := map[string]types.Resource{}, []string{}
		for name, one := range resources[url] {
			if old, had := before[name]; !had || !proto.Equal(old, one) {
				changed[name] = one
			}
		}
		for name := range before {
			if _, has := resources[url][name]; !has {
				gone = append(gone, name)
			}
		}
		if err := l.caches[url].UpdateResources(changed, gone); err != nil {
			return err
		}
	}
	return nil
}
