// SPDX-License-Identifier: Apache-2.0
#include "delta_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "decode/type_urls.h"

namespace sockmesh {
namespace {

constexpr const char* kStar = "*";

// Equal contents give equal versions, also after restarts.
std::string versionOf(const ServedResource& resource) {
  return fmt::format("{:016x}", resource.hash);
}

envoy::service::discovery::v3::Resource wrapped(const std::string& name,
                                                const ServedResource& served) {
  envoy::service::discovery::v3::Resource resource;
  if (!served.any.UnpackTo(&resource)) *resource.mutable_resource() = served.any;
  resource.set_name(name);
  resource.set_version(versionOf(served));
  return resource;
}

}  // namespace

void DeltaSession::onRequest(const Request& request) {
  noteNode(request.node());
  const std::string& typeUrl = request.type_url();
  const auto [entry, first] = types().try_emplace(typeUrl);
  TypeState& state = entry->second;
  if (!request.response_nonce().empty()) {
    noteAnswerIn(request, state);
  }
  if (first) begin(request, state);
  const bool changes =
      request.resource_names_subscribe_size() > 0 || request.resource_names_unsubscribe_size() > 0;
  if (changes) updateSubscription(request, state);
  if (first || changes) {
    const ResourcesByName wanted = subscribed(typeUrl, state);
    std::vector<std::string> removed;
    for (const std::string& name : request.resource_names_subscribe()) {
      if (name != kStar && !wanted.contains(name)) removed.push_back(name);
    }
    for (const auto& [name, held] : state.sent) {
      if (!wanted.contains(name) && std::ranges::find(removed, name) == removed.end()) {
        removed.push_back(name);
      }
    }
    ResourcesByName changed = wanted;
    std::erase_if(changed, [&](const auto& one) { return heldUnchanged(state.sent, one); });
    // A client waits for its first answer, also where there is nothing.
    const bool awaited = first && isFullSetType(typeUrl);
    if (awaited || !changed.empty() || !removed.empty()) send(typeUrl, state, changed, removed);
  }
  advance();
}

// The client says what it holds. What it holds in another version differs from what is served.
void DeltaSession::begin(const Request& request, TypeState& state) const {
  state.wildcard = isFullSetType(request.type_url()) && request.resource_names_subscribe().empty();
  const ResourcesByName& served = resources().ofType(request.type_url());
  for (const auto& [name, version] : request.initial_resource_versions()) {
    const auto found = served.find(name);
    const bool same = found != served.end() && versionOf(*found->second) == version;
    state.sent[name] = same ? found->second : std::make_shared<const ServedResource>();
  }
}

void DeltaSession::updateSubscription(const Request& request, TypeState& state) {
  const bool first = state.nonce.empty();
  for (const std::string& name : request.resource_names_subscribe()) {
    if (name == kStar) {
      state.wildcard = isFullSetType(request.type_url());
      continue;
    }
    const bool isNew = state.names.insert(name).second;
    // Who asks again wants it again, whatever the server believes.
    if (!first || !isNew) state.sent.erase(name);
  }
  for (const std::string& name : request.resource_names_unsubscribe()) {
    if (name == kStar) state.wildcard = false;
    state.names.erase(name);
    if (!state.wildcard) state.sent.erase(name);
  }
}

void DeltaSession::sendChanges(const std::string& typeUrl, TypeState& state, bool keepRemoved) {
  ResourcesByName changed = subscribed(typeUrl, state);
  std::vector<std::string> removed;
  for (const auto& [name, held] : state.sent) {
    if (!keepRemoved && !changed.contains(name)) removed.push_back(name);
  }
  std::erase_if(changed, [&](const auto& one) { return heldUnchanged(state.sent, one); });
  if (!changed.empty() || !removed.empty()) send(typeUrl, state, changed, removed);
}

void DeltaSession::send(const std::string& typeUrl, TypeState& state,
                        const ResourcesByName& changed, const std::vector<std::string>& removed) {
  if (typeUrl == kClusterType) forgetAssignmentsOf(state.sent, changed);
  auto response =
      newResponse<Response>(typeUrl, state, sockmesh::versionOf(resources().ofType(typeUrl)));
  response.set_system_version_info(state.version);
  for (const auto& [name, resource] : changed) {
    *response.add_resources() = wrapped(name, *resource);
    state.sent.insert_or_assign(name, resource);
  }
  for (const std::string& name : removed) {
    response.add_removed_resources(name);
    state.sent.erase(name);
  }
  send_(std::move(response));
}

}  // namespace sockmesh
