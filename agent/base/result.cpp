// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstring>

namespace sockmesh {

Error Error::fromErrno(std::string_view what, int errnum) {
  Error error(std::string(what) + ": " + std::strerror(errnum));
  error.errnum_ = errnum;
  return error;
}

}  // namespace sockmesh
