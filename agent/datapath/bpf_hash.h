// SPDX-License-Identifier: Apache-2.0
// A typed BPF hash map over a descriptor that it owns.
#pragma once

#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sockmesh {

template <typename Key, typename Value>
class BpfHash {
 public:
  BpfHash() = default;
  explicit BpfHash(UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }

  std::optional<Value> find(const Key& key) const {
    Value value{};
    if (bpf_map_lookup_elem(fd_.get(), &key, &value) != 0) return std::nullopt;
    return value;
  }
  // Adds a key that does not exist (BPF_NOEXIST). A full map is E2BIG, in errnum().
  Status insert(const Key& key, const Value& value) {
    if (bpf_map_update_elem(fd_.get(), &key, &value, BPF_NOEXIST) != 0) {
      return Error::fromErrno("bpf_map_update_elem", errno);
    }
    return {};
  }
  // Adds or replaces.
  Status put(const Key& key, const Value& value) {
    if (bpf_map_update_elem(fd_.get(), &key, &value, BPF_ANY) != 0) {
      return Error::fromErrno("bpf_map_update_elem", errno);
    }
    return {};
  }
  // Removes a key. A key that does not exist is no error.
  Status erase(const Key& key) {
    if (bpf_map_delete_elem(fd_.get(), &key) != 0 && errno != ENOENT) {
      return Error::fromErrno("bpf_map_delete_elem", errno);
    }
    return {};
  }

  // All entries. While others change the map, an entry that stays may be seen twice, because a
  // deleted cursor starts the walk over. It is never missed. The caller's container drops the
  // repetition.
  Result<std::vector<std::pair<Key, Value>>> entries() const {
    std::vector<std::pair<Key, Value>> all;
    Key next{};
    const Key* cursor = nullptr;
    Key current{};
    while (bpf_map_get_next_key(fd_.get(), cursor, &next) == 0) {
      if (const auto value = find(next)) all.emplace_back(next, *value);
      current = next;
      cursor = &current;
    }
    if (errno != ENOENT) return Error::fromErrno("bpf_map_get_next_key", errno);
    return all;
  }

  // How many entries there are, a bucket at a time: the walk ends however others change the map.
  std::uint64_t count() const {
    constexpr std::uint32_t kBatch = 4096;
    std::vector<Key> keys(kBatch);
    std::vector<Value> values(kBatch);
    std::uint64_t total = 0;
    std::uint64_t cursor = 0;  // the kernel's own: a bucket
    for (bool first = true;; first = false) {
      std::uint32_t count = kBatch;
      const int failed = bpf_map_lookup_batch(fd_.get(), first ? nullptr : &cursor, &cursor,
                                              keys.data(), values.data(), &count, nullptr);
      if (failed != 0 && errno != ENOENT) return total;
      total += count;
      if (failed != 0) return total;
    }
  }

 private:
  UniqueFd fd_;
};

}  // namespace sockmesh
