// SPDX-License-Identifier: Apache-2.0
#include "decode/decode_common.h"

#include <cmath>
#include <functional>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "decode/decode.h"
#include "envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/type/v3/typed_struct.pb.h"

namespace sockmesh {

namespace core = envoy::config::core::v3;

namespace {

constexpr std::int64_t kMaxDurationSeconds = 100LL * 365 * 24 * 3600;
constexpr std::int64_t kMaxProtoSeconds = 315'576'000'000;  // protobuf's own limit of a Duration
constexpr std::int32_t kNanosPerSecond = 1'000'000'000;
constexpr int kMaxNesting = 8;  // transport sockets inside transport sockets

MetadataValue decodeValue(const google::protobuf::Value& proto) {
  using Kind = google::protobuf::Value;
  switch (proto.kind_case()) {
    case Kind::kBoolValue:
      return {proto.bool_value()};
    case Kind::kNumberValue:
      return {proto.number_value()};
    case Kind::kStringValue:
      return {proto.string_value()};
    case Kind::kListValue: {
      MetadataValue::List list;
      for (const auto& item : proto.list_value().values()) list.push_back(decodeValue(item));
      return {std::move(list)};
    }
    case Kind::kStructValue:
      return {decodeStruct(proto.struct_value())};
    case Kind::kNullValue:
    case Kind::KIND_NOT_SET:
      break;
  }
  return {};
}

bool isPlaintextAt(const core::TransportSocket& socket, int nesting) {
  namespace sockets = envoy::extensions::transport_sockets;
  if (!socket.has_typed_config()) return socket.name() == "envoy.transport_sockets.raw_buffer";
  if (isType<sockets::raw_buffer::v3::RawBuffer>(socket.typed_config())) return true;
  sockets::internal_upstream::v3::InternalUpstreamTransport outer;
  return nesting < kMaxNesting &&
         isType<sockets::internal_upstream::v3::InternalUpstreamTransport>(socket.typed_config()) &&
         socket.typed_config().UnpackTo(&outer) && outer.has_transport_socket() &&
         isPlaintextAt(outer.transport_socket(), nesting + 1);
}

}  // namespace

std::uint64_t contentHash(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);  // maps sorted by key
    message.SerializePartialToCodedStream(&coded);
  }
  return std::hash<std::string>{}(bytes);
}

MetadataStruct decodeLbMetadata(const core::Metadata& proto) {
  const auto found = proto.filter_metadata().find("envoy.lb");
  return found == proto.filter_metadata().end() ? MetadataStruct{} : decodeStruct(found->second);
}

MetadataStruct mergedCriteria(const MetadataStruct& around, const MetadataStruct& leg) {
  MetadataStruct both = leg;
  both.insert(around.begin(), around.end());  // keeps the keys that are there
  return both;
}

MetadataStruct decodeStruct(const google::protobuf::Struct& proto) {
  MetadataStruct decoded;
  for (const auto& [key, value] : proto.fields()) decoded[key] = decodeValue(value);
  return decoded;
}

void checkBounds(std::uint64_t value, Bounds bounds, std::string_view field, FieldErrors& errors) {
  if (value < bounds.min) {
    errors.add(field, std::to_string(value) + " is less than " + std::to_string(bounds.min));
  } else if (value > bounds.max) {
    errors.add(field, std::to_string(value) + " is more than " + std::to_string(bounds.max));
  }
}

Nanos duration(bool present, const google::protobuf::Duration& proto, Nanos absent,
               DurationRule rule, std::string_view field, FieldErrors& errors) {
  if (!present) return absent;
  const std::int64_t seconds = proto.seconds();
  const std::int32_t nanos = proto.nanos();
  if (seconds > kMaxProtoSeconds || seconds < -kMaxProtoSeconds || nanos >= kNanosPerSecond ||
      nanos <= -kNanosPerSecond || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
    errors.add(field, "is not a valid duration");
    return absent;
  }
  if (seconds < 0 || nanos < 0) {
    errors.add(field, "must not be negative");
    return absent;
  }
  if (rule == DurationRule::kPositive && seconds == 0 && nanos == 0) {
    errors.add(field, "must be more than 0s");
    return absent;
  }
  if (seconds >= kMaxDurationSeconds) return std::chrono::seconds(kMaxDurationSeconds);
  return std::chrono::seconds(seconds) + Nanos(nanos);
}

double percent(bool present, const envoy::type::v3::Percent& proto, double absent,
               std::string_view field, FieldErrors& errors) {
  if (!present) return absent;
  // Written so that NaN is also refused.
  if (!(proto.value() >= 0 && proto.value() <= 100)) {
    errors.add(std::string(field) + ".value", "is not a percentage from 0 to 100");
    return absent;
  }
  return proto.value();
}

void checkEnum(bool valid, int number, std::string_view field, FieldErrors& errors) {
  if (!valid) errors.add(field, std::to_string(number) + " is none of its values");
}

void checkNotEmpty(std::string_view text, std::string_view field, FieldErrors& errors) {
  if (text.empty()) errors.add(field, "must not be empty");
}

std::optional<SocketAddress> decodeSocketAddress(const core::SocketAddress& proto,
                                                 std::uint32_t minPort, FieldErrors& errors) {
  bool good = true;
  const auto fail = [&](std::string_view field, const std::string& message) {
    errors.add(field, message);
    good = false;
  };
  if (!core::SocketAddress::Protocol_IsValid(proto.protocol())) {
    fail("protocol", std::to_string(proto.protocol()) + " is none of its values");
  }
  const auto ip = IpAddress::parse(proto.address());
  if (!ip.ok()) fail("address", "'" + proto.address() + "' is not an IP address");
  if (proto.has_named_port()) {
    fail("named_port", "named ports are not supported");
  } else if (!proto.has_port_value()) {
    fail("port_value", "is required");
  } else if (proto.port_value() > 65535 || proto.port_value() < minPort) {
    fail("port_value", std::to_string(proto.port_value()) + " is not a port");
  }
  if (!proto.resolver_name().empty() && proto.resolver_name() != "envoy.ip") {
    fail("resolver_name", "custom resolver '" + proto.resolver_name() + "' is not supported");
  }
  if (!proto.network_namespace_filepath().empty()) {
    fail("network_namespace_filepath", "is not supported");
  }
  if (!good) return std::nullopt;
  return SocketAddress{*ip, static_cast<std::uint16_t>(proto.port_value())};
}

std::string_view typeName(const google::protobuf::Any& any) {
  const std::string_view url = any.type_url();
  return url.substr(url.rfind('/') + 1);  // npos + 1 is 0: a bare name is its own
}

std::string configTypeName(const google::protobuf::Any& any) {
  const auto inner = [](const std::string& url) { return url.substr(url.rfind('/') + 1); };
  udpa::type::v1::TypedStruct udpa;
  if (isType<udpa::type::v1::TypedStruct>(any) && any.UnpackTo(&udpa))
    return inner(udpa.type_url());
  xds::type::v3::TypedStruct xds;
  if (isType<xds::type::v3::TypedStruct>(any) && any.UnpackTo(&xds)) return inner(xds.type_url());
  return std::string(typeName(any));
}

bool isPlaintext(const core::TransportSocket& socket) {
  return isPlaintextAt(socket, 0);
}

}  // namespace sockmesh
