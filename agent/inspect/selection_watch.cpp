// SPDX-License-Identifier: Apache-2.0
#include "inspect/selection_watch.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>

#include "base/unique_fd.h"
#include "maps/map_names.h"
#include "maps/pin_path.h"

namespace sockmesh {
namespace {

std::uint64_t numberOf(const sm_selection& one) {
  return std::atomic_ref<__u64>(const_cast<__u64&>(one.number)).load(std::memory_order_acquire);
}

// What stands there under one number; nothing while it is written.
std::optional<sm_selection> copied(const sm_selection& from) {
  const std::uint64_t number = numberOf(from);
  if (number == 0 || number == SM_SELECTION_BUSY) return std::nullopt;
  sm_selection copy{};
  auto* to = reinterpret_cast<std::uint64_t*>(&copy);
  auto* words = reinterpret_cast<std::uint64_t*>(const_cast<sm_selection*>(&from));
  static_assert(sizeof(sm_selection) % sizeof(std::uint64_t) == 0);
  for (std::size_t i = 0; i < sizeof(sm_selection) / sizeof(std::uint64_t); ++i) {
    to[i] = std::atomic_ref<std::uint64_t>(words[i]).load(std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  if (numberOf(from) != number) return std::nullopt;
  copy.number = number;
  return copy;
}

struct Pinned {
  UniqueFd fd;
  bpf_map_info info{};
};

// A descriptor for reading alone cannot be mapped.
Result<Pinned> openPin(const std::string& bpffsRoot, MapId map) {
  const std::string path = PinPath(bpffsRoot).maps() + "/" + mapName(map);
  Pinned pinned{UniqueFd(bpf_obj_get(path.c_str())), {}};
  std::uint32_t length = sizeof(pinned.info);
  if (!pinned.fd.valid() || bpf_obj_get_info_by_fd(pinned.fd.get(), &pinned.info, &length) != 0) {
    return Error::fromErrno(path, errno);
  }
  return pinned;
}

template <typename T>
Result<MappedArray<T>> mapPin(const Pinned& pinned, MapAccess access) {
  return MappedArray<T>::map(pinned.fd.get(), pinned.info.max_entries, access);
}

}  // namespace

std::vector<sm_selection> shownSelections(const Selections& selections) {
  std::vector<sm_selection> all;
  for (std::uint32_t i = 0; i < selections.size(); ++i) {
    if (const auto one = copied(selections[i])) all.push_back(*one);
  }
  std::ranges::sort(all, {}, &sm_selection::number);
  return all;
}

struct SelectionWatch::Maps {
  std::uint32_t id = 0;  // of `selections`
  Selections selections;
  MappedArray<sm_globals> globals;
  std::optional<SelectionClaim> claim;  // in `globals`

  std::uint64_t shown() const {
    return std::atomic_ref<__u64>(globals[0].selections).load(std::memory_order_relaxed);
  }
};

SelectionWatch::SelectionWatch(std::string bpffsRoot, std::uint32_t oneIn, Nanos lease)
    : bpffsRoot_(std::move(bpffsRoot)), oneIn_(oneIn), lease_(lease) {}

Status SelectionWatch::open() {
  auto maps = std::make_shared<Maps>();
  const auto shown = openPin(bpffsRoot_, MapId::selections);
  if (!shown) return shown.error();
  auto selections = mapPin<sm_selection>(*shown, MapAccess::kReadOnly);
  if (!selections) return selections.error().in(mapName(MapId::selections));
  const auto words = openPin(bpffsRoot_, MapId::globals);
  if (!words) return words.error();
  auto globals = mapPin<sm_globals>(*words, MapAccess::kReadWrite);
  if (!globals) return globals.error().in(mapName(MapId::globals));
  maps->id = shown->info.id;
  maps->selections = std::move(selections).value();
  maps->globals = std::move(globals).value();
  maps->claim.emplace(maps->globals[0], oneIn_, lease_);
  next_ = maps->shown() + 1;
  awaited_ = 0;
  maps_ = std::move(maps);
  return {};
}

// Whether the maps are those that are pinned now.
Result<bool> SelectionWatch::isCurrent() const {
  if (maps_ == nullptr) return false;
  const auto pinned = openPin(bpffsRoot_, MapId::selections);
  if (!pinned) return pinned.error();
  return pinned->info.id == maps_->id;
}

void SelectionWatch::take(std::uint64_t number, Seen& seen) {
  const auto one = copied(maps_->selections[number % SM_SELECTIONS]);
  if (!one || one->number != number) {
    ++seen.lost;
  } else if (one->hash < maps_->claim->bound()) {
    seen.selections.push_back(*one);
  }
}

Result<SelectionWatch::Seen> SelectionWatch::next(Nanos now) {
  const auto current = isCurrent();
  if (!current) return current.error();
  if (!*current) {
    if (auto opened = open(); !opened) return opened.error();
  }
  if (!maps_->claim->renew(now)) {
    return Error(std::to_string(SM_WATCHERS) +
                 " watch selections already, which is as many as can");
  }
  Seen seen;
  const std::uint64_t last = maps_->shown();
  if (last >= next_ + SM_SELECTIONS) {
    seen.lost += last - SM_SELECTIONS + 1 - next_;
    next_ = last - SM_SELECTIONS + 1;
  }
  for (; next_ <= last; ++next_) {
    const std::uint64_t stands = numberOf(maps_->selections[next_ % SM_SELECTIONS]);
    const bool missing = stands == SM_SELECTION_BUSY || stands < next_;
    // A program that has the number is about to write, or has lost it for good. One call decides.
    if (missing && awaited_ != next_) {
      awaited_ = next_;
      return seen;
    }
    take(next_, seen);
  }
  return seen;
}

}  // namespace sockmesh
