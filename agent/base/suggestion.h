// What somebody may have meant by a name that is not known.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sockmesh {

// The most similar of `names`: the same but for case, '-' and '_', else the one with the fewest
// characters to insert, remove, replace or swap, else the only one that begins with `given`.
std::optional<std::string> mostSimilar(std::string_view given,
                                       const std::vector<std::string>& names);

// ", did you mean NAME?" with the most similar of `names`, or "" where none is similar.
std::string didYouMean(std::string_view given, const std::vector<std::string>& names);

}  // namespace sockmesh
