// SPDX-License-Identifier: Apache-2.0
// The programs in the kernel, by name: loaded by this process, or adopted from an earlier agent
// that loaded the very same. The kernel verifies what is loaded, which takes most of a start.
//
// The programs are pinned in a folder whose name says what they were made of. The folder gets this
// name once all of them are in it. So a folder with the right name holds the right programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "maps/pin_path.h"
#include "sockmesh_abi.h"

struct bpf_object;

namespace sockmesh {

class MapObject;

struct Program {
  std::string name;
  UniqueFd fd;
  std::uint32_t id = 0;          // the kernel's
  std::uint32_t attachType = 0;  // enum bpf_attach_type
  bool tracing = false;          // for a tracepoint of the whole node, and for no cgroup
};

class Programs {
 public:
  // What programs are made of, as the name of a folder. Two agents of one boot that have the same
  // one would load the same programs. `object`: the bytes of the object file. `mapIds`: of all
  // pinned maps, by MapId.
  static std::string recipeOf(std::string_view object, const sm_settings& settings,
                              const std::vector<std::uint32_t>& mapIds);

  // Loads them onto these maps. Takes as long as the kernel needs to verify them. `maps` may be in
  // use meanwhile; the programs do not need it afterwards.
  static Result<Programs> load(const MapObject& maps);
  // Those of an earlier agent with this recipe. Nothing: one of them is missing, or is not what the
  // opened `object` calls by its name.
  static std::optional<Programs> adopt(const bpf_object* object, const PinPath& pins,
                                       const std::string& recipe);

  // Nothing is loaded or adopted.
  bool empty() const { return all_.empty(); }
  // Null: there is no such program.
  const Program* find(std::string_view name) const;
  int fd(std::string_view name) const;  // -1: there is no such program

  // Pins all of them at once, in place of those with other recipes. The folder of `pins` exists.
  Status pin(const PinPath& pins, const std::string& recipe) const;

 private:
  static Result<Programs> of(const bpf_object* loaded);

  std::vector<Program> all_;
};

}  // namespace sockmesh
