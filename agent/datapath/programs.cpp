// SPDX-License-Identifier: Apache-2.0
#include "datapath/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "datapath/map_object.h"
#include "maps/map_names.h"
#include "maps/private_folder.h"
#include "sockmesh.skel.h"

namespace sockmesh {
namespace {

using Skeleton =
    std::unique_ptr<sockmesh_bpf,
                    decltype([](sockmesh_bpf* skeleton) { sockmesh_bpf::destroy(skeleton); })>;

bpf_prog_info infoOf(int fd) {
  bpf_prog_info info{};
  std::uint32_t length = sizeof(info);
  if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) != 0) return {};
  return info;
}

// What the object says of a program, with the descriptor of it that is given.
Program describe(const bpf_program* from, UniqueFd fd) {
  Program program;
  program.name = bpf_program__name(from);
  program.id = infoOf(fd.get()).id;
  program.fd = std::move(fd);
  program.attachType = bpf_program__expected_attach_type(from);
  program.tracing = bpf_program__type(from) == BPF_PROG_TYPE_TRACING;
  return program;
}

// The kernel keeps the beginning of a name.
bool isProgram(int fd, const bpf_program* wanted) {
  const bpf_prog_info info = infoOf(fd);
  const std::string_view name = bpf_program__name(wanted);
  return info.id != 0 && info.type == static_cast<std::uint32_t>(bpf_program__type(wanted)) &&
         name.substr(0, sizeof(info.name) - 1) == info.name;
}

// Removes the folders of programs with other recipes.
void removeOthers(const PinPath& pins, const std::string& recipe) {
  std::error_code failed;
  std::vector<std::filesystem::path> others;
  for (const auto& entry : std::filesystem::directory_iterator(pins.programs(), failed)) {
    if (entry.path().filename() != recipe) others.push_back(entry.path());
  }
  for (const auto& other : others) std::filesystem::remove_all(other, failed);
}

}  // namespace

std::string Programs::recipeOf(std::string_view object, const sm_settings& settings,
                               const std::vector<std::uint32_t>& mapIds) {
  const std::hash<std::string_view> hash;
  std::string rest = fmt::format("{}.{}", libbpf_major_version(), libbpf_minor_version());
  for (const std::uint32_t id : mapIds) rest += fmt::format(" {}", id);
  rest.append(reinterpret_cast<const char*>(&settings), sizeof(settings));
  return fmt::format("{:016x}{:016x}", hash(object), hash(rest));
}

Result<Programs> Programs::load(const MapObject& maps) {
  const Skeleton skeleton(sockmesh_bpf::open());
  if (skeleton == nullptr) return Error::fromErrno("opening the BPF object", errno);
  for (const std::string& name : kMapNames) {
    bpf_map* map = bpf_object__find_map_by_name(skeleton->obj, name.c_str());
    if (map == nullptr || bpf_map__reuse_fd(map, maps.fd(name)) != 0) {
      return Error::fromErrno("map " + name, errno);
    }
  }
  skeleton->rodata->settings = maps.settings();
  if (sockmesh_bpf::load(skeleton.get()) != 0) {
    return Error::fromErrno("loading the BPF programs (the verifier's log is at --log-level debug)",
                            errno);
  }
  return of(skeleton->obj);
}

Result<Programs> Programs::of(const bpf_object* object) {
  Programs programs;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    UniqueFd fd(fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0));
    if (!fd.valid()) return Error::fromErrno(bpf_program__name(program), errno);
    programs.all_.push_back(describe(program, std::move(fd)));
  }
  return programs;
}

std::optional<Programs> Programs::adopt(const bpf_object* object, const PinPath& pins,
                                        const std::string& recipe) {
  Programs programs;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object) {
    const std::string path = pins.programs() + "/" + recipe + "/" + bpf_program__name(program);
    UniqueFd fd(bpf_obj_get(path.c_str()));
    if (!isProgram(fd.get(), program)) return std::nullopt;
    programs.all_.push_back(describe(program, std::move(fd)));
  }
  return programs;
}

const Program* Programs::find(std::string_view name) const {
  const auto found = std::ranges::find(all_, name, &Program::name);
  return found == all_.end() ? nullptr : &*found;
}

int Programs::fd(std::string_view name) const {
  const Program* program = find(name);
  return program == nullptr ? -1 : program->fd.get();
}

Status Programs::pin(const PinPath& pins, const std::string& recipe) const {
  const std::string folder = pins.programs() + "/" + recipe;
  const std::string fresh = pins.programs() + "/new";
  if (auto made = makePrivateFolder(pins.programs()); !made) return made;
  std::error_code failed;
  std::filesystem::remove_all(fresh, failed);
  if (auto made = makePrivateFolder(fresh); !made) return made;
  for (const Program& program : all_) {
    const std::string path = fresh + "/" + program.name;
    if (bpf_obj_pin(program.fd.get(), path.c_str()) != 0) {
      return Error::fromErrno("pinning " + path, errno);
    }
  }
  // One that lacks a program may be in the way.
  std::filesystem::remove_all(folder, failed);
  if (rename(fresh.c_str(), folder.c_str()) != 0) return Error::fromErrno(folder, errno);
  removeOthers(pins, recipe);
  return {};
}

}  // namespace sockmesh
