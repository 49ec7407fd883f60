// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	// The types that resources may hold.
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
)

// By type URL, then by name.
type resourcesByType map[string]map[string]types.Resource

func parse(text []byte) (resourcesByType, error) {
	var document struct {
		Resources []json.RawMessage `json:"resources"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	all := resourcesByType{}
	for i, one := range document.Resources {
		var packed anypb.Any
		if err := protojson.Unmarshal(one, &packed); err != nil {
			return nil, fmt.Errorf("resources[%d]: %w", i, err)
		}
		message, err := packed.UnmarshalNew()
		if err != nil {
			return nil, fmt.Errorf("resources[%d]: %w", i, err)
		}
		resource := message.(types.Resource)
		ofType := all[packed.TypeUrl]
		if ofType == nil {
			ofType = map[string]types.Resource{}
			all[packed.TypeUrl] = ofType
		}
		name := cache.GetResourceName(resource)
		if packed.TypeUrl == workloadType {
			name = workloadName(resource)
		}
		ofType[name] = resource
	}
	return all, nil
}
