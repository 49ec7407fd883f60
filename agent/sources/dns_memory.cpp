// SPDX-License-Identifier: Apache-2.0
#include "sources/dns_memory.h"

#include <algorithm>
#include <utility>

namespace sockmesh {
namespace {

using sockmesh::cache::v1::ResolvedName;
using Addresses = std::vector<IpAddress>;
using Texts = google::protobuf::RepeatedPtrField<std::string>;

constexpr std::string_view kType = "sockmesh.cache.v1.ResolvedName";

// All that tells two questions apart.
std::string textOf(const DnsQuestion& question) {
  const DnsResolverSettings& how = question.settings;
  std::string text = question.name + " " + std::to_string(static_cast<int>(question.family));
  for (const bool flag : {how.serversAreFallback, how.tcp, how.search, how.rotate}) {
    text += flag ? " 1" : " 0";
  }
  text += " " + std::to_string(how.timeoutSeconds) + " " + std::to_string(how.tries);
  for (const SocketAddress& server : how.servers) text += " " + server.toString();
  return text;
}

Addresses addressesOf(const Texts& texts) {
  Addresses addresses;
  for (const std::string& text : texts) {
    if (const auto ip = IpAddress::parse(text); ip.ok()) addresses.push_back(*ip);
  }
  return addresses;
}

void put(const Addresses& addresses, Texts& to) {
  for (const IpAddress& address : addresses) *to.Add() = address.toString();
}

KnownName inOrder(KnownName known) {
  KnownName plain;
  plain.addresses = std::move(known.addresses);
  plain.inOrder = std::move(known.inOrder);
  std::ranges::sort(plain.addresses);
  std::ranges::sort(plain.inOrder);
  return plain;
}

}  // namespace

DnsMemory::DnsMemory(ResourceCache& cache) : cache_(cache) {
  for (const auto& [name, content] : cache.takeKept(kType)) {
    ResolvedName answer;
    if (!answer.ParseFromString(content)) continue;
    KnownName known;
    known.addresses = addressesOf(answer.addresses());
    known.inOrder = addressesOf(answer.in_order());
    kept_[name] = inOrder(known);
    known.answered = known.ended = known.stale = true;
    restored_[name] = std::move(known);
  }
}

std::optional<KnownName> DnsMemory::recall(const DnsQuestion& question) {
  auto found = restored_.extract(textOf(question));
  if (found.empty()) return std::nullopt;
  return std::move(found.mapped());
}

void DnsMemory::keep(const DnsQuestion& question, const KnownName& known) {
  const std::string name = textOf(question);
  KnownName plain = inOrder(known);
  const auto before = kept_.find(name);
  if (before != kept_.end() && before->second == plain) return;
  kept_[name] = std::move(plain);
  ResolvedName answer;
  put(known.addresses, *answer.mutable_addresses());
  put(known.inOrder, *answer.mutable_in_order());
  cache_.keep(kType, name, answer.SerializeAsString());
}

void DnsMemory::forget(const DnsQuestion& question) {
  const std::string name = textOf(question);
  restored_.erase(name);
  if (kept_.erase(name) > 0) cache_.drop(kType, name);
}

void DnsMemory::dropUnused() {
  for (const auto& [name, known] : std::exchange(restored_, {})) {
    kept_.erase(name);
    cache_.drop(kType, name);
  }
}

}  // namespace sockmesh
