// SPDX-License-Identifier: Apache-2.0
// Numbers as text.
#pragma once

#include <string>

namespace sockmesh {

// For people: at most one decimal, and none where it is 0. "1.5", "2".
std::string shortText(double value);
// For machines: the shortest text that reads back as `value`, with a point or an exponent. "0.25",
// "1.0".
std::string exactText(double value);

}  // namespace sockmesh
