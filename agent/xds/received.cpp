#include "xds/received.h"

#include "xds/decode_common.h"
#include "xds/type_urls.h"

namespace sockmesh {
namespace {

constexpr std::string_view kWrapperType = "type.googleapis.com/envoy.service.discovery.v3.Resource";

template <typename Proto>
std::string parsedName(const std::string& bytes) {
  Proto proto;
  return proto.ParseFromString(bytes) ? resourceName(proto) : "";
}

void readTtl(const envoy::service::discovery::v3::Resource& wrapper, Envelope& envelope) {
  if (!wrapper.has_ttl()) return;
  FieldErrors errors;
  envelope.ttl = duration(true, wrapper.ttl(), Nanos(0), DurationRule::kNotNegative, "ttl", errors);
  if (!errors.empty()) envelope.badTtl = errors.error().message();
}

}  // namespace

Envelope openEnvelope(const google::protobuf::Any& resource, int index) {
  Envelope envelope;
  envelope.position = "resources[" + std::to_string(index) + "]";
  if (resource.type_url() != kWrapperType) {
    envelope.typeUrl = resource.type_url();
    envelope.bytes = resource.value();
    return envelope;
  }
  envoy::service::discovery::v3::Resource wrapper;
  if (!wrapper.ParseFromString(resource.value())) {
    envelope.unreadable = true;
    return envelope;
  }
  envelope.name = wrapper.name();
  envelope.heartbeat = !wrapper.has_resource();
  readTtl(wrapper, envelope);
  envelope.typeUrl = wrapper.resource().type_url();
  envelope.bytes = wrapper.resource().value();
  return envelope;
}

std::string nameOfAnyType(const Envelope& envelope) {
  if (!envelope.name.empty()) return envelope.name;
  if (envelope.typeUrl == kClusterType) {
    return parsedName<envoy::config::cluster::v3::Cluster>(envelope.bytes);
  }
  if (envelope.typeUrl == kAssignmentType) {
    return parsedName<envoy::config::endpoint::v3::ClusterLoadAssignment>(envelope.bytes);
  }
  if (envelope.typeUrl == kListenerType) {
    return parsedName<envoy::config::listener::v3::Listener>(envelope.bytes);
  }
  return "";
}

}  // namespace sockmesh
