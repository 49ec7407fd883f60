// SPDX-License-Identifier: Apache-2.0
// The BPF object file that is built into the agent.
#pragma once

#include <string_view>

namespace sockmesh {

// Its bytes, for ever.
std::string_view objectFile();

}  // namespace sockmesh
