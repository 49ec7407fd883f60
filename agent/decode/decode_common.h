// SPDX-License-Identifier: Apache-2.0
// What the decoders share: fields with rules, read with their path in case of an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/wrappers.pb.h>

#include "base/clock.h"
#include "decode/field_errors.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/core.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/type/v3/type.pb.h"
#include "model/address.h"
#include "model/cluster.h"
#include "model/metadata.h"

namespace sockmesh {

// Inclusive bounds; a violation says which one.
struct Bounds {
  std::uint64_t min = 0;
  std::uint64_t max = UINT64_MAX;
};

// Adds an error for `field` if `value` is out of `bounds`.
void checkBounds(std::uint64_t value, Bounds bounds, std::string_view field, FieldErrors& errors);

// A wrapper's value, or `absent` if the field is missing. `bounds` hold for a present value.
template <typename Wrapper, typename T>
T wrapped(bool present, const Wrapper& wrapper, T absent, std::string_view field,
          FieldErrors& errors, Bounds bounds = {}) {
  if (!present) return absent;
  checkBounds(wrapper.value(), bounds, field, errors);
  return static_cast<T>(wrapper.value());
}

enum class DurationRule : std::uint8_t { kNotNegative, kPositive };

// A Duration in nanoseconds, or `absent`. More than 100 years is 100 years, so that it can be added
// to a clock; what protobuf calls invalid is an error.
Nanos duration(bool present, const google::protobuf::Duration& proto, Nanos absent,
               DurationRule rule, std::string_view field, FieldErrors& errors);

// A Percent, 0 to 100, or `absent`.
double percent(bool present, const envoy::type::v3::Percent& proto, double absent,
               std::string_view field, FieldErrors& errors);

// Adds an error if a number is not a value of the enum.
void checkEnum(bool valid, int number, std::string_view field, FieldErrors& errors);
void checkNotEmpty(std::string_view text, std::string_view field, FieldErrors& errors);

MetadataStruct decodeStruct(const google::protobuf::Struct& proto);

// The address of `proto`, which is at the errors' present path; nullopt and an error if it is not
// an address. `minPort` is 0 if the port may be left out.
std::optional<SocketAddress> decodeSocketAddress(
    const envoy::config::core::v3::SocketAddress& proto, std::uint32_t minPort,
    FieldErrors& errors);

// The type of an Any without "type.googleapis.com/".
std::string_view typeName(const google::protobuf::Any& any);

// The type of a configuration: for a TypedStruct, the type of its content.
std::string configTypeName(const google::protobuf::Any& any);

// Unpacks `any`, whose type is Message's. False and an error if its bytes are not such a message.
template <typename Message>
bool unpack(const google::protobuf::Any& any, Message& message, FieldErrors& errors) {
  if (any.UnpackTo(&message)) return true;
  errors.add("typed_config", "cannot be read as " + std::string(typeName(any)));
  return false;
}

template <typename Message>
bool isType(const google::protobuf::Any& any) {
  return typeName(any) == Message::descriptor()->full_name();
}

// Sends bytes as the application gave them: raw_buffer, also inside internal_upstream.
bool isPlaintext(const envoy::config::core::v3::TransportSocket& socket);

// The inline assignment of a DNS cluster, whose addresses may be host names, to the frame and the
// targets of `into`.
void decodeDnsTargets(const envoy::config::endpoint::v3::ClusterLoadAssignment& proto,
                      DnsDiscovery& into, FieldErrors& errors);
// type STRICT_DNS and LOGICAL_DNS, and cluster_type DnsCluster: type, endpoints' name and `dns` of
// `cluster`.
void decodeDns(const envoy::config::cluster::v3::Cluster& proto, Cluster& cluster,
               FieldErrors& errors);
bool isDnsClusterType(const envoy::config::cluster::v3::Cluster::CustomClusterType& proto);

OutlierDetection decodeOutlierDetection(const envoy::config::cluster::v3::OutlierDetection& proto,
                                        FieldErrors& errors);

}  // namespace sockmesh
