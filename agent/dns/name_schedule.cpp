// SPDX-License-Identifier: Apache-2.0
#include "dns/name_schedule.h"

#include <algorithm>

namespace sockmesh {
namespace {

// Full jitter may be no delay at all.
constexpr Nanos kShortestDelay = std::chrono::milliseconds(1);

constexpr const char* kNoAddress = "the name has no address";

// Those of `before` that are still there, then the new ones.
std::vector<IpAddress> merged(const std::vector<IpAddress>& before,
                              const std::vector<IpAddress>& newest) {
  const std::set<IpAddress> present(newest.begin(), newest.end());
  std::set<IpAddress> taken;
  std::vector<IpAddress> result;
  for (const IpAddress& ip : before) {
    if (present.contains(ip) && taken.insert(ip).second) result.push_back(ip);
  }
  for (const IpAddress& ip : newest) {
    if (taken.insert(ip).second) result.push_back(ip);
  }
  return result;
}

}  // namespace

void NameSchedule::add(const std::string& user, const DnsQuestion& question,
                       const DnsRefresh& refresh, Nanos now) {
  const auto entry = entries_.try_emplace(question).first;
  const auto [one, isNew] = entry->second.users.try_emplace(user);
  if (!isNew) return;
  one->second.refresh = refresh;
  if (refresh.failureRate) {
    one->second.failures.emplace(refresh.failureRate->base, refresh.failureRate->max, random_());
  }
  const Entry& known = entry->second;
  const bool good = known.endedAt && known.known.problem.empty();
  one->second.due = good ? *known.endedAt + refreshed(refresh, known) : now;
  queue(entry);
}

void NameSchedule::recall(const DnsQuestion& question, KnownName known) {
  const auto entry = entries_.find(question);
  if (entry == entries_.end() || entry->second.known.ended) return;
  entry->second.known = std::move(known);
}

void NameSchedule::remove(const std::string& user, const DnsQuestion& question) {
  const auto entry = entries_.find(question);
  if (entry == entries_.end()) return;
  entry->second.users.erase(user);
  if (!entry->second.users.empty()) return queue(entry);
  unqueue(entry);
  // The answer of an open question finds no name, and lets the next one go.
  if (!entry->second.open) entries_.erase(entry);
}

// Puts the name where its first user is due.
void NameSchedule::queue(Entries::iterator entry) {
  unqueue(entry);
  if (entry->second.open || entry->second.users.empty()) return;
  const auto first = std::ranges::min_element(entry->second.users, {},
                                              [](const auto& user) { return user.second.due; });
  entry->second.queuedAt = first->second.due;
  queue_.emplace(first->second.due, &entry->first);
}

void NameSchedule::unqueue(Entries::iterator entry) {
  if (!entry->second.queuedAt) return;
  queue_.erase({*entry->second.queuedAt, &entry->first});
  entry->second.queuedAt.reset();
}

std::vector<DnsQuestion> NameSchedule::takeDue(Nanos now) {
  std::vector<DnsQuestion> due;
  while (open_ < kParallel && !queue_.empty() && queue_.begin()->first <= now) {
    const auto entry = entries_.find(*queue_.begin()->second);
    unqueue(entry);
    entry->second.open = true;
    ++open_;
    due.push_back(entry->first);
  }
  return due;
}

std::optional<Nanos> NameSchedule::next() const {
  if (queue_.empty() || open_ >= kParallel) return std::nullopt;
  return queue_.begin()->first;
}

// The delay after a good answer.
Nanos NameSchedule::refreshed(const DnsRefresh& refresh, const Entry& entry) {
  Nanos delay = refresh.rate;
  const Nanos ttl = refresh.ttlOfFirst ? entry.ttlOfFirst : entry.ttlOfAll;
  if (refresh.respectTtl && ttl > Nanos(0)) delay = ttl;
  if (refresh.jitter > Nanos(0)) {
    delay +=
        Nanos(std::uniform_int_distribution<std::int64_t>(0, refresh.jitter.count() - 1)(random_));
  }
  return delay;
}

// The delay after a failure.
Nanos NameSchedule::failed(User& user) {
  return user.failures ? std::max(user.failures->next(), kShortestDelay) : user.refresh.rate;
}

// True where what is known has changed, except for the problem.
bool NameSchedule::take(Entry& entry, const DnsAnswer& answer, Nanos now) {
  KnownName& known = entry.known;
  KnownName before = known;
  known.ended = true;
  known.problem = answer ? (answer->empty() ? kNoAddress : "") : answer.error().message();
  if (answer) {
    known.answered = true;
    known.stale = false;
    std::vector<IpAddress> inOrder;
    entry.ttlOfFirst = entry.ttlOfAll = answer->empty() ? Nanos(0) : Nanos(answer->front().ttl);
    for (const DnsAddress& address : *answer) {
      inOrder.push_back(address.ip);
      entry.ttlOfAll = std::min(entry.ttlOfAll, Nanos(address.ttl));
    }
    known.addresses = merged(known.addresses, inOrder);
    if (!inOrder.empty()) known.inOrder = std::move(inOrder);
    entry.endedAt = now;
  }
  before.problem = known.problem;
  return !(known == before);
}

std::vector<std::string> NameSchedule::answered(const DnsQuestion& question,
                                                const DnsAnswer& answer, Nanos now) {
  const bool good = answer.ok() && !answer->empty();
  ++(answer.ok() ? counts_.answered : counts_.failed);
  const auto entry = entries_.find(question);
  if (entry == entries_.end() || !entry->second.open) return {};
  --open_;
  entry->second.open = false;
  if (entry->second.users.empty()) {
    entries_.erase(entry);
    return {};
  }
  const bool changed = take(entry->second, answer, now);
  std::vector<std::string> users;
  for (auto& [name, user] : entry->second.users) {
    const bool success = good || (answer.ok() && !user.refresh.emptyIsFailure);
    if (success && user.failures) user.failures->reset();
    user.due = now + (success ? refreshed(user.refresh, entry->second) : failed(user));
    if (changed) users.push_back(name);
  }
  queue(entry);
  return users;
}

std::vector<std::string> NameSchedule::usersOf(const DnsQuestion& question) const {
  const auto entry = entries_.find(question);
  std::vector<std::string> users;
  if (entry == entries_.end()) return users;
  for (const auto& [name, user] : entry->second.users) users.push_back(name);
  return users;
}

const KnownName* NameSchedule::find(const DnsQuestion& question) const {
  const auto entry = entries_.find(question);
  return entry == entries_.end() ? nullptr : &entry->second.known;
}

}  // namespace sockmesh
