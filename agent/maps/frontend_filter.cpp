// SPDX-License-Identifier: Apache-2.0
#include "maps/frontend_filter.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "maps/codec.h"

namespace sockmesh {
namespace {

constexpr std::uint32_t kWordBits = 64;
constexpr std::uint8_t kFull = std::numeric_limits<std::uint8_t>::max();

std::uint64_t hashOf(const sm_frontend4_key& key) {
  return sm_filter_hash4(key.addr_be, key.port_be, key.protocol);
}

std::uint64_t hashOf(const sm_frontend6_key& key) {
  return sm_filter_hash6(key.addr_be, key.port_be, key.protocol);
}

std::uint64_t hashOf(const VipKey& key) {
  return key.vip.ip.isV4() ? hashOf(encodeFrontend4(key)) : hashOf(encodeFrontend6(key));
}

// An index into the counts.
std::uint32_t bitOf(std::uint64_t hash) {
  return static_cast<std::uint32_t>(hash >> (64 - SM_FILTER_WORD_BITS - 6));
}

}  // namespace

FilterPlace filterPlace(const VipKey& key) {
  const std::uint32_t bit = bitOf(hashOf(key));
  return {bit / kWordBits, bit % kWordBits};
}

FrontendFilter::FrontendFilter(KernelMaps& maps)
    : maps_(maps), counts_(std::size_t{SM_FILTER_WORDS} * kWordBits) {}

void FrontendFilter::count(std::uint64_t hash) {
  std::uint8_t& count = counts_[bitOf(hash)];
  if (count != kFull) ++count;
}

Status FrontendFilter::adopt() {
  const auto four = maps_.frontends4.entries();
  if (!four) return four.error().in("frontends4");
  const auto six = maps_.frontends6.entries();
  if (!six) return six.error().in("frontends6");
  const auto ranges = maps_.ranges.entries();
  if (!ranges) return ranges.error().in("ranges");
  std::ranges::fill(counts_, std::uint8_t{0});
  ranges_.clear();
  for (const auto& [key, id] : *ranges) ranges_.insert(decodeRange(key));
  for (const auto& [key, id] : *four) count(hashOf(key));
  for (const auto& [key, id] : *six) count(hashOf(key));
  write();
  return {};
}

// All bits as they should be.
void FrontendFilter::write() {
  for (std::uint32_t at = 0; at < SM_FILTER_WORDS; ++at) {
    std::uint64_t word = ranges_.empty() ? 0 : ~std::uint64_t{0};
    for (std::uint32_t bit = 0; bit < kWordBits; ++bit) {
      if (counts_[at * kWordBits + bit] != 0) word |= 1ULL << bit;
    }
    std::atomic_ref<std::uint64_t> there(maps_.frontendFilter[at]);
    if (there.load(std::memory_order_relaxed) != word) there.store(word);
  }
}

void FrontendFilter::addRange(const VipKey& key) {
  const bool first = ranges_.empty();
  ranges_.insert(key);
  if (first) write();
}

void FrontendFilter::removeRange(const VipKey& key) {
  if (ranges_.erase(key) > 0 && ranges_.empty()) write();
}

void FrontendFilter::add(const VipKey& key) {
  const std::uint64_t hash = hashOf(key);
  count(hash);
  std::atomic_ref<std::uint64_t>(maps_.frontendFilter[SM_FILTER_WORD(hash)])
      .fetch_or(SM_FILTER_BIT(hash));
}

void FrontendFilter::remove(const VipKey& key) {
  const std::uint64_t hash = hashOf(key);
  std::uint8_t& count = counts_[bitOf(hash)];
  if (count == kFull || count == 0 || --count > 0 || !ranges_.empty()) return;
  std::atomic_ref<std::uint64_t>(maps_.frontendFilter[SM_FILTER_WORD(hash)])
      .fetch_and(~SM_FILTER_BIT(hash));
}

}  // namespace sockmesh
