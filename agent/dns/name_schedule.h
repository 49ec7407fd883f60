// SPDX-License-Identifier: Apache-2.0
// When which name is asked for, and what is known of it. Several users share a name that they ask
// for in the same way: one question answers all, and is put when the first of them is due. It knows
// no resolver and no timer. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "dns/name_resolver.h"
#include "model/dns.h"

namespace sockmesh {

// What is known of a name.
struct KnownName {
  // Of the last good answer. An address that is in two answers keeps its place, whatever the order
  // of the second one: servers rotate their records.
  std::vector<IpAddress> addresses;
  // Of the last answer that had an address, in its order.
  std::vector<IpAddress> inOrder;
  bool answered = false;  // there was a good answer
  bool ended = false;     // a question has ended, with an answer or without one
  bool stale = false;     // of an earlier agent, and not answered since
  // Why the last question brought no address; "" where it brought one.
  std::string problem;
  bool operator==(const KnownName&) const = default;
};

class NameSchedule {
 public:
  // How many questions are open at a time.
  static constexpr std::size_t kParallel = 64;

  struct Counts {
    std::uint64_t answered = 0;
    std::uint64_t failed = 0;
  };

  explicit NameSchedule(std::uint64_t seed) : random_(seed) {}

  // `user` wants to know this name from now on. A name that has been answered for another user is
  // asked for again when this user would have done so.
  void add(const std::string& user, const DnsQuestion& question, const DnsRefresh& refresh,
           Nanos now);
  // What an earlier agent knew of a name that was added and not answered yet. It counts until the
  // first answer, and does not delay the question.
  void recall(const DnsQuestion& question, KnownName known);
  // A name without a user is forgotten.
  void remove(const std::string& user, const DnsQuestion& question);

  // Questions to put now. Each is open until answered().
  std::vector<DnsQuestion> takeDue(Nanos now);
  // When to call takeDue() again; nothing: after the next answer or add().
  std::optional<Nanos> next() const;
  // Who wants to know, where what is known has changed by this answer. A problem alone is no
  // change.
  std::vector<std::string> answered(const DnsQuestion& question, const DnsAnswer& answer,
                                    Nanos now);

  // Null: nobody wants to know.
  const KnownName* find(const DnsQuestion& question) const;
  std::vector<std::string> usersOf(const DnsQuestion& question) const;
  std::size_t names() const { return entries_.size(); }
  const Counts& counts() const { return counts_; }

 private:
  struct User {
    DnsRefresh refresh;
    std::optional<Backoff> failures;
    Nanos due{0};
  };
  struct Entry {
    KnownName known;
    std::map<std::string, User> users;
    std::optional<Nanos> queuedAt;  // its place in queue_
    bool open = false;              // asked for
    std::optional<Nanos> endedAt;   // the last good answer
    Nanos ttlOfFirst{0};            // of that answer; 0: none
    Nanos ttlOfAll{0};
  };
  using Entries = std::map<DnsQuestion, Entry>;

  Nanos refreshed(const DnsRefresh& refresh, const Entry& entry);
  Nanos failed(User& user);
  bool take(Entry& entry, const DnsAnswer& answer, Nanos now);
  void queue(Entries::iterator entry);
  void unqueue(Entries::iterator entry);

  Entries entries_;
  struct Earlier {
    bool operator()(const std::pair<Nanos, const DnsQuestion*>& a,
                    const std::pair<Nanos, const DnsQuestion*>& b) const {
      return a.first != b.first ? a.first < b.first : *a.second < *b.second;
    }
  };
  std::set<std::pair<Nanos, const DnsQuestion*>, Earlier> queue_;
  std::size_t open_ = 0;
  std::mt19937_64 random_;
  Counts counts_;
};

}  // namespace sockmesh
