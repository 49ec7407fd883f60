// SPDX-License-Identifier: Apache-2.0
#include "lb/hash.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sockmesh {
namespace {

constexpr std::uint64_t kMurmurMultiplier = 0xc6a4a7935bd1e995ULL;
constexpr std::uint64_t kMurmurSeed = 0xc70f6907ULL;

std::uint64_t mix(std::uint64_t value) {
  return value ^ (value >> 47);
}

// The next `length` (at most 8) bytes as a little-endian number.
std::uint64_t load(const char* at, std::size_t length) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < length; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(at[i])} << (8 * i);
  }
  return value;
}

}  // namespace

std::uint64_t xxHash64(std::string_view bytes, std::uint64_t seed) {
  return XXH64(bytes.data(), bytes.size(), seed);
}

std::uint64_t murmurHash2(std::string_view bytes) {
  const std::size_t whole = bytes.size() & ~std::size_t{7};
  std::uint64_t hash = kMurmurSeed ^ (bytes.size() * kMurmurMultiplier);
  for (std::size_t at = 0; at < whole; at += 8) {
    const std::uint64_t data = mix(load(bytes.data() + at, 8) * kMurmurMultiplier);
    hash = (hash ^ (data * kMurmurMultiplier)) * kMurmurMultiplier;
  }
  if (whole != bytes.size()) {
    hash = (hash ^ load(bytes.data() + whole, bytes.size() - whole)) * kMurmurMultiplier;
  }
  return mix(mix(hash) * kMurmurMultiplier);
}

}  // namespace sockmesh
