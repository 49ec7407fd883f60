// SPDX-License-Identifier: Apache-2.0
#include "sotw_session.h"

#include <algorithm>
#include <utility>

#include "decode/type_urls.h"

namespace sockmesh {
namespace {

bool sameContents(const ResourcesByName& a, const ResourcesByName& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second->hash == y.second->hash;
  });
}

}  // namespace

void SotwSession::onRequest(const Request& request) {
  noteNode(request.node());
  const auto [entry, first] = types().try_emplace(request.type_url());
  TypeState& state = entry->second;
  noteAnswerIn(request, state);
  // The request was sent before the latest response arrived. The answer to that response repeats
  // all names.
  const bool stale = !request.response_nonce().empty() && request.response_nonce() != state.nonce;
  if (stale && !first) return;
  if (updateSubscription(request, state) || first) {
    answerSubscription(request.type_url(), state, first);
  }
  advance();
}

bool SotwSession::updateSubscription(const Request& request, TypeState& state) const {
  std::set<std::string> names(request.resource_names().begin(), request.resource_names().end());
  state.namedOnce = state.namedOnce || !names.empty();
  const bool star = names.erase("*") > 0;
  const bool wildcard = isFullSetType(request.type_url()) && (star || !state.namedOnce);
  const bool changed = names != state.names || wildcard != state.wildcard;
  state.names = std::move(names);
  state.wildcard = wildcard;
  return changed;
}

void SotwSession::answerSubscription(const std::string& typeUrl, TypeState& state, bool first) {
  const ResourcesByName wanted = subscribed(typeUrl, state);
  if (isFullSetType(typeUrl)) {
    if (first || !sameContents(wanted, state.sent)) send(typeUrl, state, wanted);
    return;
  }
  // A name that was unsubscribed and comes back is sent again.
  std::erase_if(state.sent, [&](const auto& held) { return !state.names.contains(held.first); });
  sendChanges(typeUrl, state, false);
}

void SotwSession::send(const std::string& typeUrl, TypeState& state,
                       const ResourcesByName& resources) {
  if (typeUrl == kClusterType) forgetAssignmentsOf(state.sent, resources);
  if (isFullSetType(typeUrl)) state.sent = resources;
  const std::string version =
      versionOf(isFullSetType(typeUrl) ? resources : this->resources().ofType(typeUrl));
  auto response = newResponse<Response>(typeUrl, state, version);
  response.set_version_info(state.version);
  for (const auto& [name, resource] : resources) {
    *response.add_resources() = resource->any;
    state.sent.insert_or_assign(name, resource);
  }
  send_(std::move(response));
}

void SotwSession::sendChanges(const std::string& typeUrl, TypeState& state, bool keepRemoved) {
  ResourcesByName resources = subscribed(typeUrl, state);
  if (isFullSetType(typeUrl)) {
    if (keepRemoved) resources.insert(state.sent.begin(), state.sent.end());
    if (!sameContents(resources, state.sent)) send(typeUrl, state, resources);
    return;
  }
  std::erase_if(state.sent, [&](const auto& held) { return !resources.contains(held.first); });
  std::erase_if(resources, [&](const auto& wanted) { return heldUnchanged(state.sent, wanted); });
  if (!resources.empty()) send(typeUrl, state, resources);
}

}  // namespace sockmesh
