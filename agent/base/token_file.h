// SPDX-License-Identifier: Apache-2.0
// Small files that prove who the agent is. Whoever renews them replaces the file, so read a file
// each time it is needed.
#pragma once

#include <string>

#include "base/result.h"

namespace sockmesh {

// The whole of a file. An empty file is an error.
Result<std::string> readSmallFile(const std::string& path);

// A bearer token without the blanks around it. It can be the value of an HTTP header: it holds no
// blank and no character that is not ASCII.
Result<std::string> readToken(const std::string& path);

}  // namespace sockmesh
