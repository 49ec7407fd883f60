// SPDX-License-Identifier: Apache-2.0
#include "store/update.h"

#include <string_view>
#include <utility>

#include "decode/decode_common.h"

namespace sockmesh {
namespace {

constexpr std::string_view kWrapperType = "type.googleapis.com/envoy.service.discovery.v3.Resource";

void readTtl(const envoy::service::discovery::v3::Resource& wrapper, Envelope& envelope) {
  if (!wrapper.has_ttl()) return;
  FieldErrors errors;
  envelope.ttl = duration(true, wrapper.ttl(), Nanos(0), DurationRule::kNotNegative, "ttl", errors);
  if (!errors.empty()) envelope.badTtl = errors.error().message();
}

void openWrapper(envoy::service::discovery::v3::Resource& wrapper, Envelope& envelope) {
  envelope.name = wrapper.name();
  envelope.version = wrapper.version();
  envelope.heartbeat = !wrapper.has_resource();
  readTtl(wrapper, envelope);
  envelope.typeUrl = wrapper.resource().type_url();
  if (wrapper.has_resource())
    envelope.bytes = std::move(*wrapper.mutable_resource()->mutable_value());
  envelope.aliases.assign(wrapper.aliases().begin(), wrapper.aliases().end());
}

std::string positionOf(int index) {
  return "resources[" + std::to_string(index) + "]";
}

Envelope envelopeOf(google::protobuf::Any& resource, int index) {
  Envelope envelope;
  envelope.position = positionOf(index);
  if (resource.type_url() != kWrapperType) {
    envelope.typeUrl = resource.type_url();
    envelope.bytes = std::move(*resource.mutable_value());
    return envelope;
  }
  envoy::service::discovery::v3::Resource wrapper;
  if (wrapper.ParseFromString(resource.value())) {
    openWrapper(wrapper, envelope);
  } else {
    envelope.unreadable = true;
  }
  return envelope;
}

}  // namespace

Update updateOf(envoy::service::discovery::v3::DiscoveryResponse response) {
  Update update;
  update.typeUrl = response.type_url();
  update.version = response.version_info();
  update.nonce = response.nonce();
  update.controlPlane = response.control_plane().identifier();
  update.bytes = response.ByteSizeLong();
  update.stateOfTheWorld = true;
  update.resources.reserve(static_cast<std::size_t>(response.resources_size()));
  for (int i = 0; i < response.resources_size(); ++i) {
    update.resources.push_back(envelopeOf(*response.mutable_resources(i), i));
  }
  return update;
}

Update updateOf(envoy::service::discovery::v3::DeltaDiscoveryResponse response) {
  Update update;
  update.typeUrl = response.type_url();
  update.version = response.system_version_info();
  update.nonce = response.nonce();
  update.controlPlane = response.control_plane().identifier();
  update.bytes = response.ByteSizeLong();
  update.resources.resize(static_cast<std::size_t>(response.resources_size()));
  for (int i = 0; i < response.resources_size(); ++i) {
    Envelope& envelope = update.resources[static_cast<std::size_t>(i)];
    envelope.position = positionOf(i);
    openWrapper(*response.mutable_resources(i), envelope);
  }
  update.removed.assign(response.removed_resources().begin(), response.removed_resources().end());
  for (const auto& name : response.removed_resource_names()) update.removed.push_back(name.name());
  return update;
}

}  // namespace sockmesh
