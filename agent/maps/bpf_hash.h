// SPDX-License-Identifier: Apache-2.0
// A typed BPF hash map over a descriptor that it owns.
#pragma once

#include <bpf/bpf.h>

#include <array>
#include <cerrno>
#include <cstdint>
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

  // All entries, each once. An entry that stays while others change the map is among them.
  Result<std::vector<std::pair<Key, Value>>> entries() const {
    std::vector<std::pair<Key, Value>> all;
    const int failed = walk([&](const Key* keys, const Value* values, std::uint32_t count) {
      for (std::uint32_t i = 0; i < count; ++i) all.emplace_back(keys[i], values[i]);
    });
    if (failed != 0) return Error::fromErrno("bpf_map_lookup_batch", failed);
    return all;
  }

  // How many entries there are; as far as the walk came where the kernel fails.
  std::uint64_t count() const {
    std::uint64_t total = 0;
    walk([&](const Key*, const Value*, std::uint32_t count) { total += count; });
    return total;
  }

 private:
  // Visits the entries, whole buckets at a time: the walk ends however others change the map. The
  // errno, or 0.
  template <typename Visit>
  int walk(Visit visit) const {
    std::uint32_t room = 4096;  // the kernel asks for more if one bucket has more
    std::vector<Key> keys(room);
    std::vector<Value> values(room);
    // The kernel's own: a bucket, or a key where the map is no hash table.
    std::array<std::uint64_t, (sizeof(Key) + 7) / 8> cursor{};
    bool first = true;
    while (true) {
      std::uint32_t count = room;
      const bool failed =
          bpf_map_lookup_batch(fd_.get(), first ? nullptr : cursor.data(), cursor.data(),
                               keys.data(), values.data(), &count, nullptr) != 0;
      const int reason = failed ? errno : 0;
      if (reason == ENOSPC) {
        room *= 2;
        keys.resize(room);
        values.resize(room);
        continue;
      }
      if (reason != 0 && reason != ENOENT) return reason;
      visit(keys.data(), values.data(), count);
      if (reason == ENOENT) return 0;
      first = false;
    }
  }

  UniqueFd fd_;
};

}  // namespace sockmesh
