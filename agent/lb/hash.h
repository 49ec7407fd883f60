// SPDX-License-Identifier: Apache-2.0
// The two hash functions of Envoy's consistent hashing.
#pragma once

#include <cstdint>
#include <string_view>

namespace sockmesh {

// xxHash64, as Envoy's HashUtil::xxHash64.
std::uint64_t xxHash64(std::string_view bytes, std::uint64_t seed = 0);

// MurmurHash2-64A with the seed of libstdc++'s std::hash (0xc70f6907), as Envoy's MURMUR_HASH_2.
std::uint64_t murmurHash2(std::string_view bytes);

}  // namespace sockmesh
