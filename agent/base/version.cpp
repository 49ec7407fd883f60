#include "base/version.h"

namespace sockmesh {

const char* version() {
  return SOCKMESH_VERSION;
}

}  // namespace sockmesh
