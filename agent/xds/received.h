// A state-of-the-world response taken apart: each resource out of its Any and, where it has one,
// its discovery.v3.Resource wrapper, and parsed; nothing is judged yet but its form.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/resource_store.h"

namespace sockmesh {

inline const std::string& resourceName(const envoy::config::cluster::v3::Cluster& proto) {
  return proto.name();
}
inline const std::string& resourceName(const envoy::config::listener::v3::Listener& proto) {
  return proto.name();
}
inline const std::string& resourceName(
    const envoy::config::endpoint::v3::ClusterLoadAssignment& proto) {
  return proto.cluster_name();
}

// One resource as it lies in the response; no type is known of its payload.
struct Envelope {
  std::string position;     // "resources[3]"
  std::string name;         // the wrapper's; "" without one
  std::string typeUrl;      // the payload's; "" for a heartbeat
  std::string bytes;        // the payload's
  bool heartbeat = false;   // a wrapper without a payload: what is held stays
  bool unreadable = false;  // its wrapper does not parse
};
Envelope openEnvelope(const google::protobuf::Any& resource, int index);

// The name of a resource of one of our types, whichever it is; "" for others.
std::string nameOfAnyType(const Envelope& envelope);

template <typename Proto>
struct Received {
  std::string name;
  std::string wrapperName;       // "" without a wrapper
  std::unique_ptr<Proto> proto;  // null for a heartbeat
};

template <typename Proto>
struct ReceivedResponse {
  std::vector<Received<Proto>> resources;    // in the order received
  std::vector<RejectedResource> rejected;    // of another type
  std::vector<RejectedResource> unreadable;  // any here: the whole response is to be rejected
};

template <typename Proto>
ReceivedResponse<Proto> takeApart(
    const envoy::service::discovery::v3::DiscoveryResponse& response) {
  ReceivedResponse<Proto> all;
  for (int i = 0; i < response.resources_size(); ++i) {
    const Envelope envelope = openEnvelope(response.resources(i), i);
    if (envelope.unreadable) {
      all.unreadable.push_back(
          {"", envelope.position + ": is not a valid envoy.service.discovery.v3.Resource"});
      continue;
    }
    if (envelope.heartbeat) {
      all.resources.push_back({envelope.name, envelope.name, nullptr});
      continue;
    }
    if (envelope.typeUrl != response.type_url()) {
      all.rejected.push_back({nameOfAnyType(envelope), envelope.position + ": is a '" +
                                                           envelope.typeUrl + "', not a '" +
                                                           response.type_url() + "'"});
      continue;
    }
    auto proto = std::make_unique<Proto>();
    if (!proto->ParseFromString(envelope.bytes)) {
      all.unreadable.push_back({envelope.name, envelope.position + ": is not a valid " +
                                                   Proto::descriptor()->full_name()});
      continue;
    }
    std::string name = resourceName(*proto);
    all.resources.push_back({std::move(name), envelope.name, std::move(proto)});
  }
  return all;
}

}  // namespace sockmesh
