// SPDX-License-Identifier: Apache-2.0
// The hand-written protos against bytes that a real istiod sent: no field that decoders read may
// hide among unknown fields, and the JSON form of a resource must be the same message as its bytes.
#include <algorithm>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb.h"
#include "envoy/extensions/access_loggers/stream/v3/stream.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "istio/networking/nds/v1/nds.pb.h"

namespace sockmesh {
namespace {

using google::protobuf::Any;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::util::JsonStringToMessage;

const char* const kTypes[] = {"CDS", "EDS", "LDS", "RDS", "NDS"};

std::string readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

envoy::service::discovery::v3::DiscoveryResponse captured(std::size_t type) {
  envoy::service::discovery::v3::DiscoveryResponse response;
  const std::string path = "tests/data/istiod/0" + std::to_string(type + 1) + "-sotw-" +
                           std::string(kTypes[type]) + ".pb";
  EXPECT_TRUE(response.ParseFromString(readFile(path))) << path;
  EXPECT_GT(response.resources_size(), 0) << path;
  return response;
}

// The message inside. Null if its type is not declared in proto/.
std::unique_ptr<Message> unpack(const Any& any) {
  const std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
  const auto* type = DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return nullptr;
  std::unique_ptr<Message> message(MessageFactory::generated_factory()->GetPrototype(type)->New());
  EXPECT_TRUE(message->ParseFromString(any.value())) << name;
  return message;
}

// Type and number of every field that proto/ does not declare, also inside Anys of known types.
void collectUnknown(const Message& message, std::set<std::string>& unknown) {
  const auto* reflection = message.GetReflection();
  const auto& fields = reflection->GetUnknownFields(message);
  for (int i = 0; i < fields.field_count(); ++i) {
    unknown.insert(message.GetDescriptor()->full_name() + "." +
                   std::to_string(fields.field(i).number()));
  }
  if (message.GetDescriptor() == Any::descriptor()) {
    if (const auto inner = unpack(static_cast<const Any&>(message))) {
      collectUnknown(*inner, unknown);
    }
    return;
  }
  std::vector<const FieldDescriptor*> set;
  reflection->ListFields(message, &set);
  for (const auto* field : set) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      collectUnknown(reflection->GetMessage(message, field), unknown);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      collectUnknown(reflection->GetRepeatedMessage(message, field, i), unknown);
    }
  }
}

// Messages that proto/ declares in part, because only HTTP uses the rest.
bool declaredInPart(const std::string& field) {
  for (const char* prefix :
       {"envoy.config.route.v3.", "envoy.extensions.filters.http.",
        "envoy.extensions.filters.listener.",
        "envoy.extensions.filters.network.http_connection_manager.",
        "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport.1"}) {
    if (field.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

TEST(ProtoWire, CapturedResponsesHideNothingInUnknownFields) {
  std::set<std::string> unknown;
  for (std::size_t type = 0; type < std::size(kTypes); ++type) {
    const auto response = captured(type);
    for (const auto& resource : response.resources()) {
      ASSERT_NE(unpack(resource), nullptr) << resource.type_url();
      collectUnknown(resource, unknown);
    }
  }
  std::erase_if(unknown, declaredInPart);
  EXPECT_EQ(unknown, std::set<std::string>{});
}

// An Any of an undeclared type has no JSON form here; istiod's readable capture has some, all of
// them of HTTP. They are cut from both sides of the comparison.
bool known(const std::string& typeUrl) {
  return DescriptorPool::generated_pool()->FindMessageTypeByName(
             typeUrl.substr(typeUrl.rfind('/') + 1)) != nullptr;
}

void cutUnknownAnys(nlohmann::json& node) {
  if (node.is_object() && node.contains("@type") && !known(node["@type"].get<std::string>())) {
    node = nlohmann::json::object();
    return;
  }
  if (node.is_structured()) {
    for (auto& child : node) cutUnknownAnys(child);
  }
}

// Replaces Anys of unknown types by empty ones and drops fields that our protos do not name.
void normalize(Message& message) {
  const auto* reflection = message.GetReflection();
  reflection->MutableUnknownFields(&message)->Clear();
  if (message.GetDescriptor() == Any::descriptor()) {
    auto& any = static_cast<Any&>(message);
    const auto inner = unpack(any);
    if (inner == nullptr) {
      any.Clear();
      return;
    }
    normalize(*inner);
    any.PackFrom(*inner);
    return;
  }
  std::vector<const FieldDescriptor*> set;
  reflection->ListFields(message, &set);
  for (const auto* field : set) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      normalize(*reflection->MutableMessage(&message, field));
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      normalize(*reflection->MutableRepeatedMessage(&message, field, i));
    }
  }
}

TEST(ProtoWire, TheReadableCaptureIsTheSameMessages) {
  const auto readable = nlohmann::json::parse(readFile("tests/data/istiod/sidecar-sotw.json"));
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  std::size_t compared = 0;
  for (std::size_t type = 0; type < std::size(kTypes); ++type) {
    std::vector<std::unique_ptr<Message>> fromJson;
    for (auto resource : readable.at(kTypes[type])) {
      const auto url = resource.at("@type").get<std::string>();
      cutUnknownAnys(resource);
      Any any;
      const auto parsed = JsonStringToMessage(resource.dump(), &any, options);
      ASSERT_TRUE(parsed.ok()) << url << ": " << parsed.ToString() << "\n" << resource.dump();
      fromJson.push_back(unpack(any));
      normalize(*fromJson.back());
    }
    const auto response = captured(type);
    ASSERT_EQ(fromJson.size(), static_cast<std::size_t>(response.resources_size()));
    for (const auto& resource : response.resources()) {
      const auto wire = unpack(resource);
      normalize(*wire);
      const auto same = std::find_if(fromJson.begin(), fromJson.end(), [&](const auto& json) {
        return google::protobuf::util::MessageDifferencer::Equals(*json, *wire);
      });
      EXPECT_NE(same, fromJson.end()) << kTypes[type] << ": " << wire->ShortDebugString();
      ++compared;
    }
  }
  EXPECT_EQ(compared, 73u);
}

// What people write into files beside the fields that have an effect. All of it must parse
// strictly.
void expectParses(const std::string& json, Message&& message) {
  const auto parsed = JsonStringToMessage(json, &message);
  EXPECT_TRUE(parsed.ok()) << parsed.ToString();
}

TEST(ProtoWire, ClusterWithTlsAndHttpOptionsParsesStrictly) {
  expectParses(R"({
    "name": "tls", "type": "STRICT_DNS", "connect_timeout": "0.25s",
    "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      "sni": "a.example", "common_tls_context": {
        "alpn_protocols": ["h2"], "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [{"certificate_chain": {"filename": "/c"},
                              "private_key": {"inline_string": "k"}}],
        "validation_context": {"trusted_ca": {"filename": "/ca"},
          "match_typed_subject_alt_names": [
            {"san_type": "DNS", "matcher": {"exact": "a.example"}}]}}}},
    "typed_extension_protocol_options": {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 100}}}}})",
               envoy::config::cluster::v3::Cluster());
}

TEST(ProtoWire, ListenerWithAccessLogAndInspectorsParsesStrictly) {
  expectParses(R"({
    "name": "l", "address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}},
    "listener_filters": [
      {"name": "t", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}},
      {"name": "h", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}],
    "filter_chains": [{"filters": [{"name": "tcp", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
      "stat_prefix": "s", "cluster": "c", "access_log": [
        {"name": "out", "typed_config": {
          "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
          "log_format": {"text_format_source": {"inline_string": "%RESPONSE_FLAGS%"}}}},
        {"name": "file", "typed_config": {
          "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
          "path": "/dev/stdout", "log_format": {"json_format": {"host": "%UPSTREAM_HOST%"}}}}]}}]}]})",
               envoy::config::listener::v3::Listener());
}

}  // namespace
}  // namespace sockmesh
