// SPDX-License-Identifier: Apache-2.0
#include "maps/served_rules.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/unique_fd.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace sockmesh {
namespace {

sm_served_key keyOf(sm_served_kind kind, std::uint64_t id) {
  return {.id = id, .kind = static_cast<std::uint32_t>(kind), .pad = 0};
}

sm_served_key keyOf(const ServedId& id) {
  return keyOf(id.kind == ServedId::Kind::kCgroup ? SM_SERVED_CGROUP : SM_SERVED_NETNS, id.id);
}

// Of the network namespace of this process.
Result<std::uint64_t> ownNetnsCookie() {
  const UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  if (!probe.valid() ||
      getsockopt(probe.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0) {
    return Error::fromErrno("SO_NETNS_COOKIE", errno);
  }
  return cookie;
}

}  // namespace

Result<std::map<ServedId, bool>> ServedRules::known() const {
  const auto entries = maps_.served.entries();
  if (!entries) return entries.error().in("served");
  std::map<ServedId, bool> known;
  for (const auto& [key, rule] : *entries) {
    if (key.kind == SM_SERVED_CGROUP) known[{ServedId::Kind::kCgroup, key.id}] = rule.let_in != 0;
    if (key.kind == SM_SERVED_NETNS) known[{ServedId::Kind::kNetns, key.id}] = rule.let_in != 0;
  }
  return known;
}

Status ServedRules::put(const ServedId& id, bool letIn) {
  sm_served_rule rule{};
  rule.let_in = letIn ? 1 : 0;
  const Status put = maps_.served.put(keyOf(id), rule);
  return put ? put : Status(put.error().in("served"));
}

Status ServedRules::erase(const ServedId& id) {
  const Status erased = maps_.served.erase(keyOf(id));
  return erased ? erased : Status(erased.error().in("served"));
}

Status ServedRules::setSidecars(std::span<const std::vector<std::uint16_t>> sidecars) {
  const auto own = ownNetnsCookie();
  if (!own) return own.error();
  for (std::size_t i = 0; i < SM_MAX_SIDECARS; ++i) {
    const sm_served_key key = keyOf(SM_SERVED_SIDECAR, i);
    sm_served_rule rule{};
    rule.netns_cookie = *own;
    if (i < sidecars.size()) std::ranges::copy(sidecars[i], rule.ports);
    const Status done = i < sidecars.size() ? maps_.served.put(key, rule) : maps_.served.erase(key);
    if (!done) return done.error().in("served");
  }
  return {};
}

void ServedRules::ask(const ServedQuestions& questions) {
  const std::uint32_t flags = (questions.cgroups ? SM_SERVED_BY_CGROUP : 0U) |
                              (questions.namespaces ? SM_SERVED_BY_NETNS : 0U) |
                              (questions.sidecars ? SM_SERVED_NOT_SIDECARS : 0U) |
                              (questions.byDefault ? 0U : SM_SERVED_NOT_BY_DEFAULT);
  std::atomic_ref<std::uint32_t>(maps_.globals[0].served_flags).store(flags);
  changed();
}

void ServedRules::changed() {
  std::atomic_ref<std::uint32_t>(maps_.globals[0].served_epoch).fetch_add(1);
}

}  // namespace sockmesh
