// SPDX-License-Identifier: Apache-2.0
#include "maps/event_ring.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>

namespace sockmesh {
namespace {

Detection detectionOf(std::uint32_t raw) {
  switch (raw) {
    case SM_DETECTION_NOT_ENFORCED:
      return Detection::kNotEnforced;
    case SM_DETECTION_OWN:
      return Detection::kOwn;
    default:
      return Detection::kEjected;
  }
}

}  // namespace

Result<std::unique_ptr<EventRing>> EventRing::open(const KernelMaps& maps, OnEvent onEvent) {
  std::unique_ptr<EventRing> ring(new EventRing(std::move(onEvent)));
  ring->ring_ = ring_buffer__new(maps.events.get(), &EventRing::take, ring.get(), nullptr);
  if (ring->ring_ == nullptr) return Error::fromErrno("the ring of events", errno);
  return ring;
}

EventRing::~EventRing() {
  ring_buffer__free(ring_);
}

int EventRing::fd() const {
  return ring_buffer__epoll_fd(ring_);
}

void EventRing::drain() {
  ring_buffer__consume(ring_);
}

int EventRing::take(void* self, void* data, std::size_t size) {
  sm_event raw{};
  if (size < sizeof(raw)) return 0;
  std::memcpy(&raw, data, sizeof(raw));
  RingEvent event;
  event.kind =
      raw.kind == SM_EVENT_UNEJECTED ? RingEvent::Kind::kUnejected : RingEvent::Kind::kDetected;
  event.endpointId = raw.endpoint_id;
  event.detector = static_cast<Detector>(raw.detector);
  event.detection = detectionOf(raw.detection);
  event.client = raw.client;
  event.at = Nanos(raw.at_ns);
  static_cast<EventRing*>(self)->onEvent_(event);
  return 0;
}

}  // namespace sockmesh
