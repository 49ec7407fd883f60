// SPDX-License-Identifier: Apache-2.0
// Pods as the API server writes them: a page of a list, and an event of a watch. Only metadata is
// read, so that PartialObjectMetadata does as well as Pod.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/pod_rules.h"

namespace sockmesh {

struct PodPage {
  std::string resourceVersion;
  std::string next;  // the token of the next page; "": this is the last one
  std::vector<PodFacts> pods;
};

struct PodEvent {
  enum class Kind : std::uint8_t { kChanged, kDeleted, kBookmark, kError };
  Kind kind = Kind::kBookmark;
  PodFacts pod;                 // kChanged, kDeleted
  std::string resourceVersion;  // not of kError
  int code = 0;                 // kError: as an HTTP status
  std::string message;          // kError
};

Result<PodPage> parsePodPage(std::string_view json);
Result<PodEvent> parsePodEvent(std::string_view json);
// The message of a Status object; "" where the text is none.
std::string statusMessage(std::string_view json);

}  // namespace sockmesh
