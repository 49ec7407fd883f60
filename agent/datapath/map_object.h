// SPDX-License-Identifier: Apache-2.0
// The maps of the BPF object file: made by this process, or adopted from an earlier agent. The
// programs are loaded apart from them (programs.h), so that the maps can be filled meanwhile.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"
#include "sockmesh_abi.h"

struct bpf_map;
struct bpf_object;

namespace sockmesh {

struct DatapathOptions;

class MapObject {
 public:
  // Makes the maps, with the sizes of `options`, and pins them. Needs CAP_BPF, as all of this does.
  static Result<MapObject> make(const DatapathOptions& options, const PinPath& pins);
  // The pinned ones. They keep their sizes; other sizes take effect after --cleanup.
  static Result<MapObject> adopt(const DatapathOptions& options, const PinPath& pins);

  // The opened object file, as long as this lives. Its maps have descriptors, its programs none.
  const bpf_object* object() const { return object_.get(); }
  // What new pages of its tables are made with.
  const PageTypes& pageTypes() const { return pageTypes_; }
  // What programs on these maps find in their read-only data.
  const sm_settings& settings() const { return settings_; }
  // Descriptor of one of kMapNames.
  int fd(const std::string& name) const;
  // Of programs on these maps: see Programs.
  std::string recipe() const;

 private:
  struct Close {
    void operator()(bpf_object* object) const;
  };

  static Result<MapObject> open(const DatapathOptions& options);
  bpf_map* map(const std::string& name) const;
  void setSizes(const DatapathOptions& options) const;
  void leaveRestOut() const;
  Status adoptMaps(const PinPath& pins) const;
  Status pinMaps(const PinPath& pins) const;
  void findSettings();

  std::unique_ptr<bpf_object, Close> object_;
  PageTypes pageTypes_;
  sm_settings settings_{};
};

}  // namespace sockmesh
