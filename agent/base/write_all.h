// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"

namespace sockmesh {

// Writes all of `bytes`, which the kernel may take in parts. After an error some of them may be
// written.
Status writeAll(int fd, std::string_view bytes);

}  // namespace sockmesh
