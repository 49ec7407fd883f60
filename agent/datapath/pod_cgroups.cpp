// SPDX-License-Identifier: Apache-2.0
#include "datapath/pod_cgroups.h"

#include <sys/stat.h>

namespace sockmesh {

std::vector<std::uint64_t> podParents(const std::string& root) {
  std::vector<std::uint64_t> ids;
  const auto add = [&ids](const std::string& path) {
    struct stat about {};
    if (stat(path.c_str(), &about) != 0 || !S_ISDIR(about.st_mode)) return false;
    ids.push_back(about.st_ino);
    return true;
  };
  // Guaranteed pods lie in the first, the others in a class of their own.
  for (const std::string above : {"/", "/kubelet.slice/kubelet-"}) {
    const std::string slice = root + above + "kubepods.slice";
    if (!add(slice)) continue;
    const std::string name = slice.substr(slice.rfind('/'), slice.rfind('.') - slice.rfind('/'));
    add(slice + name + "-burstable.slice");
    add(slice + name + "-besteffort.slice");
  }
  for (const std::string above : {"/", "/kubelet/"}) {
    const std::string folder = root + above + "kubepods";
    if (!add(folder)) continue;
    add(folder + "/burstable");
    add(folder + "/besteffort");
  }
  return ids;
}

}  // namespace sockmesh
