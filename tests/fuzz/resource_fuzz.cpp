// SPDX-License-Identifier: Apache-2.0
// What a control plane sends, and the file that keeps it: each decoder on its own, whole responses
// through the store and the compiler, and the cache file. The first byte of the input says which.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "decode/decode.h"
#include "decode/type_urls.h"
#include "fuzz_input.h"
#include "lb/compiler.h"
#include "message_mutator.h"
#include "sockmesh/cache/v1/cache.pb.h"
#include "store/cache_file.h"
#include "store/resource_cache.h"
#include "store/resource_store.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t maxSize);

namespace sockmesh::fuzz {
namespace {

using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryResponse;
using google::protobuf::Message;
using sockmesh::cache::v1::Configuration;

// Larger tables are correct, and take seconds.
constexpr std::uint64_t kLargestTable = 65537;

bool isSmall(const Cluster& cluster) {
  const LoadBalancing& lb = cluster.lb;
  const bool ring = lb.policy == LbPolicy::kRingHash && lb.maximumRingSize > kLargestTable;
  return !ring && (lb.policy != LbPolicy::kMaglev || lb.maglevTableSize <= kLargestTable);
}

void check(const LoadAssignment& assignment) {
  for (const LocalityEndpoints& locality : assignment.localities) {
    for (const Endpoint& endpoint : locality.endpoints) {
      require(endpoint.weight >= 1, "an endpoint has a weight");
    }
  }
}

// What is in force is fit for the compiler.
void check(const ResourceStore& store) {
  const auto snapshot = store.snapshot();
  bool small = true;
  for (const auto& [name, cluster] : snapshot->clusters) small = small && isSmall(*cluster);
  for (const auto& [name, assignment] : snapshot->assignments) check(*assignment);
  for (const auto& [name, listener] : snapshot->listeners) {
    require(!listener->addresses.empty(), "what makes VIPs has an address");
  }
  if (!small) return;
  Compiler compiler(CompilerOptions{});
  require(compiler.compile(*snapshot, HealthOverlay(), Nanos(1)) != nullptr, "it compiles");
}

// Equal bytes mean an equal value, or are refused with an equal reason.
template <typename Proto, auto decodeProto>
void decoder(std::string_view bytes) {
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto first = decodeProto(proto);
  const auto second = decodeProto(proto);
  require(first.ok() == second.ok(), "a decoder does not depend on the past");
  if (first) return;
  require(!first.error().message().empty(), "a refusal has a reason");
  require(first.error().message() == second.error().message(), "a refusal has one reason");
}

// Resources of several types in one response come one type after another.
void response(std::string_view bytes) {
  DiscoveryResponse all;
  if (!all.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  ResourceStore store;
  if (!all.type_url().empty()) {
    store.apply(updateOf(all));
    return check(store);
  }
  for (int i = 0; i < all.resources_size();) {
    DiscoveryResponse part;
    part.set_type_url(all.resources(i).type_url());
    for (; i < all.resources_size() && all.resources(i).type_url() == part.type_url(); ++i) {
      *part.add_resources() = all.resources(i);
    }
    if (findResourceType(part.type_url()) != nullptr) store.apply(updateOf(part));
  }
  check(store);
}

void deltaResponse(std::string_view bytes) {
  DeltaDiscoveryResponse delta;
  if (!delta.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  ResourceStore store;
  store.apply(updateOf(delta));
  store.apply(updateOf(delta));
  check(store);
}

void cacheBytes(std::string_view bytes) {
  const MemoryFile file(bytes);
  const auto read = readCacheFile(file.path());
  if (!read) require(!read.error().message().empty(), "a refusal has a reason");
}

// A file whose checksum is right, with any content.
void cacheContent(std::string_view bytes) {
  Configuration content;
  if (!content.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  static const ScratchFolder folder;
  const std::string path = folder.path() + "/cache";
  require(writeCacheFile(path, content).ok(), "a cache can be written");
  const auto read = readCacheFile(path);
  require(read.ok(), "what was written can be read");
  require(read->SerializeAsString() == content.SerializeAsString(), "it is what was written");
  ResourceStore store;
  const ResourceCache cache(store, {.path = path, .view = content.view()},
                            [](const std::string&) {});
  require(cache.restored().writtenAt.has_value(), "a good cache of this view is restored");
  check(store);
}

struct Reader {
  void (*read)(std::string_view bytes);
  const Message* prototype;  // of the input; null: it is no message
};

template <typename Proto>
constexpr const Message* prototypeOf() {
  return &Proto::default_instance();
}

template <typename Proto, auto decodeProto>
Reader readerOf() {
  return {decoder<Proto, decodeProto>, prototypeOf<Proto>()};
}

const Reader& readerFor(std::uint8_t kind) {
  static const std::array kReaders = {
      readerOf<envoy::config::cluster::v3::Cluster, decodeCluster>(),
      readerOf<envoy::config::endpoint::v3::ClusterLoadAssignment, decodeAssignment>(),
      readerOf<envoy::config::listener::v3::Listener, decodeListener>(),
      readerOf<envoy::config::route::v3::RouteConfiguration, decodeRouteConfig>(),
      readerOf<istio::networking::nds::v1::NameTable, decodeNameTable>(),
      Reader{response, prototypeOf<DiscoveryResponse>()},
      Reader{deltaResponse, prototypeOf<DeltaDiscoveryResponse>()},
      Reader{cacheBytes, nullptr},
      Reader{cacheContent, prototypeOf<Configuration>()}};
  return kReaders[kind % kReaders.size()];
}

// The length of the changed message, or 0 where it does not fit or was none.
std::size_t mutateMessage(std::uint8_t* data, std::size_t size, std::size_t maxSize,
                          const Message& prototype, std::uint32_t seed) {
  const std::unique_ptr<Message> message(prototype.New());
  if (!message->ParseFromArray(data, static_cast<int>(size))) return 0;
  std::minstd_rand random(seed);
  for (std::uint32_t i = 0; i <= seed % 4; ++i) mutate(*message, random);
  const std::string bytes = message->SerializeAsString();
  if (bytes.size() > maxSize) return 0;
  std::ranges::copy(bytes, data);
  return bytes.size();
}

}  // namespace
}  // namespace sockmesh::fuzz

// One change in four is of bytes, the others keep the message whole.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t maxSize, unsigned int seed) {
  using namespace sockmesh::fuzz;
  if (size < 2 || seed % 4 == 0) return LLVMFuzzerMutate(data, size, maxSize);
  const Reader& reader = readerFor(data[0]);
  if (reader.prototype == nullptr) return LLVMFuzzerMutate(data, size, maxSize);
  const std::size_t changed =
      mutateMessage(data + 1, size - 1, maxSize - 1, *reader.prototype, seed / 4);
  return changed == 0 ? LLVMFuzzerMutate(data, size, maxSize) : changed + 1;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sockmesh::fuzz;
  if (size == 0) return 0;
  readerFor(data[0]).read(textOf({data + 1, size - 1}));
  return 0;
}
