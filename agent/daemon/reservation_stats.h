// The Snapshot's reservations as the metrics room counts them.
#pragma once

#include "model/snapshot.h"
#include "stats/agent_stats.h"

namespace sockmesh {

ReservationStats reservationStats(const Snapshot& snapshot);

}  // namespace sockmesh
