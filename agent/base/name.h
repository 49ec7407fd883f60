// SPDX-License-Identifier: Apache-2.0
// A name that many objects have, as that of a cluster. Each name is in memory once, see Interned.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/interned.h"

namespace sockmesh {

using Name = Interned<std::string>;

// By name, in order of the text. A std::string is looked up without making a Name of it.
template <typename T>
using NameMap = std::map<Name, T, std::less<>>;

}  // namespace sockmesh
