// SPDX-License-Identifier: Apache-2.0
#include "message_mutator.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sockmesh::fuzz {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Random = std::minstd_rand;

constexpr int kDeepest = 12;

std::size_t below(std::size_t end, Random& random) {
  return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
}

template <typename T, std::size_t N>
T oneOf(const std::array<T, N>& values, Random& random) {
  return values[below(N, random)];
}

template <typename T>
T integer(Random& random) {
  using Limits = std::numeric_limits<T>;
  static constexpr std::array<std::int64_t, 12> kValues = {
      0, 1, 2, 3, 80, 100, 101, 65535, 65536, 1'000'000'000, -1, 8'388'609};
  switch (below(4, random)) {
    case 0:
      return Limits::max();
    case 1:
      return Limits::min();
    default:
      return static_cast<T>(oneOf(kValues, random));
  }
}

double real(Random& random) {
  static constexpr std::array kValues = {
      0.0, -0.0, 1.0, 0.5, -1.0, 100.0, 1e-300, 1e300, std::numeric_limits<double>::infinity()};
  return below(10, random) == 0 ? std::nan("") : oneOf(kValues, random);
}

std::string text(Random& random) {
  static const std::array<std::string, 21> kValues = {"",
                                                      "a",
                                                      "b",
                                                      "10.0.0.1",
                                                      "10.0.0.1:80",
                                                      "0.0.0.0",
                                                      "::",
                                                      "[2001:db8::1]",
                                                      "2001:db8::1",
                                                      "[2001:db8::1]:80",
                                                      "::ffff:10.0.0.1",
                                                      "*",
                                                      "*.example.org",
                                                      "example.org:80",
                                                      "envoy.lb",
                                                      "PassthroughCluster",
                                                      "outbound|80||a.ns.svc.cluster.local",
                                                      std::string("\0\x1b[2J\xff\xc3", 7),
                                                      std::string(300, 'x'),
                                                      "65536",
                                                      "/"};
  return oneOf(kValues, random);
}

// `add`: to a repeated field. Not for messages.
template <typename T>
void put(Message& message, const FieldDescriptor* field, bool add, T value,
         void (Reflection::*set)(Message*, const FieldDescriptor*, T) const,
         void (Reflection::*append)(Message*, const FieldDescriptor*, T) const) {
  const Reflection& reflection = *message.GetReflection();
  (reflection.*(add ? append : set))(&message, field, std::move(value));
}

void putValue(Message& message, const FieldDescriptor* field, bool add, Random& random) {
  using R = Reflection;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return put(message, field, add, integer<std::int32_t>(random), &R::SetInt32, &R::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return put(message, field, add, integer<std::int64_t>(random), &R::SetInt64, &R::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return put(message, field, add, integer<std::uint32_t>(random), &R::SetUInt32, &R::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return put(message, field, add, integer<std::uint64_t>(random), &R::SetUInt64, &R::AddUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return put(message, field, add, real(random), &R::SetDouble, &R::AddDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return put(message, field, add, static_cast<float>(real(random)), &R::SetFloat, &R::AddFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return put(message, field, add, below(2, random) == 0, &R::SetBool, &R::AddBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return put(message, field, add, static_cast<int>(below(9, random)), &R::SetEnumValue,
                 &R::AddEnumValue);
    case FieldDescriptor::CPPTYPE_STRING:
      return put(message, field, add, text(random), &R::SetString, &R::AddString);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (add) {
        message.GetReflection()->AddMessage(&message, field);
      } else {
        message.GetReflection()->MutableMessage(&message, field);
      }
  }
}

void mutateRepeated(Message& message, const FieldDescriptor* field, Random& random) {
  const Reflection& reflection = *message.GetReflection();
  const int size = reflection.FieldSize(message, field);
  if (size == 0) return putValue(message, field, true, random);
  const int last = size - 1;
  const int one = static_cast<int>(below(static_cast<std::size_t>(size), random));
  switch (below(4, random)) {
    case 0:
      return putValue(message, field, true, random);
    case 1:
      reflection.SwapElements(&message, field, one, last);
      return;
    case 2:
      reflection.SwapElements(&message, field, one, last);
      return reflection.RemoveLast(&message, field);
    default:
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return;
      const std::unique_ptr<Message> copy(reflection.GetRepeatedMessage(message, field, one).New());
      copy->CopyFrom(reflection.GetRepeatedMessage(message, field, one));
      reflection.AddMessage(&message, field)->CopyFrom(*copy);
  }
}

// A configuration of an extension, empty, in place of the one that is there.
void mutateAny(Any& any, Random& random) {
  static constexpr std::array<std::string_view, 20> kTypes = {
      "access_loggers.stream.v3.StdoutAccessLog",
      "clusters.dns.v3.DnsCluster",
      "filters.http.router.v3.Router",
      "filters.network.http_connection_manager.v3.HttpConnectionManager",
      "filters.network.tcp_proxy.v3.TcpProxy",
      "filters.udp.udp_proxy.v3.UdpProxyConfig",
      "filters.listener.original_dst.v3.OriginalDst",
      "filters.listener.tls_inspector.v3.TlsInspector",
      "transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
      "transport_sockets.raw_buffer.v3.RawBuffer",
      "transport_sockets.tls.v3.UpstreamTlsContext",
      "load_balancing_policies.cluster_provided.v3.ClusterProvided",
      "load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin",
      "load_balancing_policies.least_request.v3.LeastRequest",
      "load_balancing_policies.maglev.v3.Maglev",
      "load_balancing_policies.random.v3.Random",
      "load_balancing_policies.ring_hash.v3.RingHash",
      "load_balancing_policies.round_robin.v3.RoundRobin",
      "load_balancing_policies.subset.v3.Subset",
      "load_balancing_policies.wrr_locality.v3.WrrLocality"};
  any.set_type_url("type.googleapis.com/envoy.extensions." + std::string(oneOf(kTypes, random)));
  any.clear_value();
}

void mutateHere(Message& message, Random& random) {
  if (auto* any = dynamic_cast<Any*>(&message)) return mutateAny(*any, random);
  const auto* type = message.GetDescriptor();
  if (type->field_count() == 0) return;
  const auto* field =
      type->field(static_cast<int>(below(static_cast<std::size_t>(type->field_count()), random)));
  if (field->is_repeated()) return mutateRepeated(message, field, random);
  if (below(4, random) == 0) return message.GetReflection()->ClearField(&message, field);
  putValue(message, field, false, random);
}

std::unique_ptr<Message> unpack(const Any& any) {
  const std::string& url = any.type_url();
  const auto* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      url.substr(url.rfind('/') + 1));
  if (type == nullptr) return nullptr;
  std::unique_ptr<Message> inner(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  return inner->ParseFromString(any.value()) ? std::move(inner) : nullptr;
}

// The messages right below `message`.
std::vector<Message*> below(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  std::vector<Message*> all;
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      all.push_back(reflection.MutableMessage(&message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      all.push_back(reflection.MutableRepeatedMessage(&message, field, i));
    }
  }
  return all;
}

void mutateBelow(Message& message, Random& random, int depth) {
  if (auto* any = dynamic_cast<Any*>(&message)) {
    if (const auto inner = unpack(*any); inner && below(8, random) != 0) {
      mutateBelow(*inner, random, depth + 1);
      any->set_value(inner->SerializeAsString());
      return;
    }
  }
  const std::vector<Message*> children = below(message);
  if (children.empty() || depth >= kDeepest || below(4, random) == 0) {
    return mutateHere(message, random);
  }
  mutateBelow(*children[below(children.size(), random)], random, depth + 1);
}

}  // namespace

void mutate(Message& message, Random& random) {
  mutateBelow(message, random, 0);
}

}  // namespace sockmesh::fuzz
