// SPDX-License-Identifier: Apache-2.0
// What happened to an endpoint, for the log: envoy.data.cluster.v3.OutlierDetectionEvent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "model/address.h"
#include "model/ejection.h"

namespace sockmesh {

struct EjectionEvent {
  enum class Action : std::uint8_t { kEject = 0, kUneject = 1 };

  Action action = Action::kEject;
  Detector detector = Detector::kConsecutive5xx;  // of the ejection that begins or ends
  std::string cluster;
  SocketAddress address;
  Nanos at{0};  // CLOCK_MONOTONIC
  // Time since the action before: from ejection to unejection, or from unejection to ejection.
  // Nothing: this is the first action.
  std::optional<Nanos> sinceLastAction;
  std::uint32_t ejections = 0;  // of this endpoint so far, this one included
  bool enforced = true;         // false: detected, but the dice (enforcing_...) said no
  Nanos ejectedUntil{0};        // of an ejection that lasts; not before this does it end
  // Percent, of the statistical detectors.
  struct Rates {
    double host = 0;
    double average = 0;    // success rate only
    double threshold = 0;  // success rate only
  };
  std::optional<Rates> rates;
};

}  // namespace sockmesh
