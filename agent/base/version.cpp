// SPDX-License-Identifier: Apache-2.0
#include "base/version.h"

namespace sockmesh {

const char* version() {
  return SOCKMESH_VERSION;
}

}  // namespace sockmesh
