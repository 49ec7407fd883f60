// SPDX-License-Identifier: Apache-2.0
// What the programs tell the agent as it happens. An event is a hint, and the endpoint states are
// the truth. An event that does not fit into the ring is only counted. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "maps/kernel_maps.h"
#include "model/ejection.h"

struct ring_buffer;

namespace sockmesh {

struct RingEvent {
  enum class Kind : std::uint8_t {
    kDetected,   // a consecutive detector fired; `detection` is kEjected, kNotEnforced or kOwn
    kUnejected,  // an ejection had run out, and a connection's end took the endpoint back
  };
  Kind kind = Kind::kDetected;
  std::uint32_t endpointId = 0;
  Detector detector = Detector::kConsecutive5xx;
  Detection detection = Detection::kEjected;
  std::uint64_t client = 0;  // whose failures; see SM_CLIENT_IS_POD
  Nanos at{0};               // CLOCK_MONOTONIC
};

class EventRing {
 public:
  using OnEvent = std::function<void(const RingEvent&)>;

  // `maps` outlives the ring.
  static Result<std::unique_ptr<EventRing>> open(const KernelMaps& maps, OnEvent onEvent);
  ~EventRing();
  EventRing(const EventRing&) = delete;
  EventRing& operator=(const EventRing&) = delete;

  // Readable while there are events.
  int fd() const;
  // Calls back for every event that is there.
  void drain();

 private:
  explicit EventRing(OnEvent onEvent) : onEvent_(std::move(onEvent)) {}
  static int take(void* ring, void* data, std::size_t size);

  OnEvent onEvent_;
  ring_buffer* ring_ = nullptr;
};

}  // namespace sockmesh
