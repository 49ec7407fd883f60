// SPDX-License-Identifier: Apache-2.0
// Sees selections as they happen, one in so many: switches the samples on in the kernel for as long
// as it lives, and reads what the programs show (bpf/select/sample.h). No agent takes part.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "maps/mapped_memory.h"
#include "maps/selection_sampling.h"
#include "sockmesh_abi.h"

namespace sockmesh {

using Selections = MappedArray<sm_selection>;  // SM_SELECTIONS

// Those that are whole, by number. A program may write meanwhile.
std::vector<sm_selection> shownSelections(const Selections& selections);

// One thread.
class SelectionWatch {
 public:
  struct Seen {
    std::vector<sm_selection> selections;  // in the order in which they were shown
    // Selections that others took the place of before they were read, of all who watch.
    std::uint64_t lost = 0;
  };

  // One selection in `oneIn` is seen; 1: each.
  SelectionWatch(std::string bpffsRoot, std::uint32_t oneIn, Nanos lease = SelectionClaim::kLease);

  // What was selected since the call before. The first call begins to watch. Call it several times
  // in each `lease`. Needs the right to write to the pinned maps. An Error where there are no maps,
  // or as many watch as can. Maps that were pinned anew are watched from now on.
  Result<Seen> next(Nanos now);

 private:
  struct Maps;
  Status open();
  Result<bool> isCurrent() const;
  void take(std::uint64_t number, Seen& seen);

  std::string bpffsRoot_;
  std::uint32_t oneIn_;
  Nanos lease_;
  std::shared_ptr<Maps> maps_;  // null: nothing was opened yet
  std::uint64_t next_ = 0;      // the number that is read next
  std::uint64_t awaited_ = 0;   // a number that was not written yet at the call before
};

}  // namespace sockmesh
