// SPDX-License-Identifier: Apache-2.0
// Weighted round robin as a cyclic schedule in the order of Envoy's earliest-deadline-first
// scheduler.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace sockmesh {

// The longest schedule that is made, in picks of four bytes each.
inline constexpr std::size_t kMaxSchedule = 65536;
// The longest nested schedule. Above it, a group for each locality is smaller and equally exact.
inline constexpr std::size_t kMaxNestedSchedule = 4096;
// How far a host's share of a schedule may be from the share of its weight, relative to the latter.
inline constexpr double kScheduleTolerance = 0.001;

// The first `picks` picks of Envoy's EDF scheduler, without virtual pre-picks: the deadline of an
// entry is now + 1 / weight, and the earliest goes first. Among equal deadlines the entry that was
// entered first goes first. Weights are > 0. Indices into `weights`.
std::vector<std::uint32_t> edfOrder(std::span<const double> weights, std::size_t picks);

// How often each entry appears in one cycle, c_i, so that c_i / sum(c) is w_i / sum(w):
//  - exactly (to within 1e-9 of itself) where a cycle of at most kMaxSchedule picks can: integers
//    whose sum over their greatest common divisor is that small always can;
//  - else with |c_i / sum(c) - w_i / sum(w)| <= kScheduleTolerance * w_i / sum(w) for every i,
//  where
//    c_i = max(1, round(k * w_i / min(w))) for the least k that does it;
//  - nothing where no such k keeps sum(c) <= kMaxSchedule.
// Weights are > 0, at least one of them.
std::optional<std::vector<std::uint32_t>> cycleCounts(std::span<const double> weights);

// One cycle of round robin, or nothing (see cycleCounts).
std::optional<std::vector<std::uint32_t>> schedule(std::span<const double> weights);

// Locality-weighted round robin: EDF over the localities, and round robin over the hosts of each.
struct LocalityWeights {
  double weight = 0;          // effective weight of the locality, > 0
  std::vector<double> hosts;  // weights, > 0, at least one
};

// One cycle, in which every locality goes through whole cycles of its own. Indices into the
// concatenation of the localities' hosts. Nothing if a cycle has more than kMaxNestedSchedule
// picks, or if some weights have no cycleCounts. The relative errors of both levels add up.
std::optional<std::vector<std::uint32_t>> nestedSchedule(
    std::span<const LocalityWeights> localities);

}  // namespace sockmesh
