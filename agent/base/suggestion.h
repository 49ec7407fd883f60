// SPDX-License-Identifier: Apache-2.0
// Finds the name that was probably meant by an unknown name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sockmesh {

// The most similar of `names`: the name that differs only in case, '-' and '_', or else the name
// with the fewest characters to insert, remove, replace or swap, or else the only name that begins
// with `given`.
std::optional<std::string> mostSimilar(std::string_view given,
                                       const std::vector<std::string>& names);

// ", did you mean NAME?" with the most similar of `names`, or "" if none is similar.
std::string didYouMean(std::string_view given, const std::vector<std::string>& names);

}  // namespace sockmesh
