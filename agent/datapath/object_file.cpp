// SPDX-License-Identifier: Apache-2.0
#include "datapath/object_file.h"

#include <cstddef>

#include "sockmesh_abi.h"

#include "sockmesh.skel.h"  // needs the types of the ABI

namespace sockmesh {

std::string_view objectFile() {
  std::size_t size = 0;
  const void* bytes = sockmesh_bpf::elf_bytes(&size);
  return {static_cast<const char*>(bytes), size};
}

}  // namespace sockmesh
