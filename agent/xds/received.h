// A state-of-the-world response taken apart: each resource out of its Any and, where it has one,
// its discovery.v3.Resource wrapper, and parsed; nothing is judged yet but its form.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/apply_result.h"

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
  std::string position;      // "resources[3]"
  std::string name;          // the wrapper's; "" without one
  std::string typeUrl;       // the payload's; "" for a heartbeat
  std::string bytes;         // the payload's
  bool heartbeat = false;    // a wrapper without a payload: what is held stays
  bool unreadable = false;   // its wrapper does not parse
  std::optional<Nanos> ttl;  // the wrapper's; at least 0
  std::string badTtl;        // what is wrong with the ttl: "ttl: must not be negative"
};
Envelope openEnvelope(const google::protobuf::Any& resource, int index);

// The name of a resource of one of our types, whichever it is; "" for others.
std::string nameOfAnyType(const Envelope& envelope);

template <typename Proto>
struct Received {
  std::string name;
  std::string wrapperName;       // "" without a wrapper
  std::unique_ptr<Proto> proto;  // null for a heartbeat
  std::optional<Nanos> ttl;      // from when it was received; nothing: it does not expire
};

template <typename Proto>
struct ReceivedResponse {
  std::vector<Received<Proto>> resources;    // in the order received
  std::vector<RejectedResource> rejected;    // of another type, or with a bad ttl
  std::vector<RejectedResource> unreadable;  // any here: the whole response is to be rejected
};

// Adds what is in `envelope` to `all`.
template <typename Proto>
void takeOut(const Envelope& envelope, const std::string& typeUrl, ReceivedResponse<Proto>& all) {
  if (envelope.unreadable) {
    all.unreadable.push_back(
        {"", envelope.position + ": is not a valid envoy.service.discovery.v3.Resource"});
    return;
  }
  if (!envelope.heartbeat && envelope.typeUrl != typeUrl) {
    all.rejected.push_back(
        {nameOfAnyType(envelope),
         envelope.position + ": is a '" + envelope.typeUrl + "', not a '" + typeUrl + "'"});
    return;
  }
  Received<Proto> one{envelope.name, envelope.name, nullptr, envelope.ttl};
  if (!envelope.heartbeat) {
    one.proto = std::make_unique<Proto>();
    if (!one.proto->ParseFromString(envelope.bytes)) {
      all.unreadable.push_back({envelope.name, envelope.position + ": is not a valid " +
                                                   Proto::descriptor()->full_name()});
      return;
    }
    one.name = resourceName(*one.proto);
  }
  if (!envelope.badTtl.empty()) {
    all.rejected.push_back({one.name, envelope.position + "." + envelope.badTtl});
    return;
  }
  all.resources.push_back(std::move(one));
}

template <typename Proto>
ReceivedResponse<Proto> takeApart(
    const envoy::service::discovery::v3::DiscoveryResponse& response) {
  ReceivedResponse<Proto> all;
  for (int i = 0; i < response.resources_size(); ++i) {
    takeOut(openEnvelope(response.resources(i), i), response.type_url(), all);
  }
  return all;
}

}  // namespace sockmesh
