// SPDX-License-Identifier: Apache-2.0
// Looks whether the kernel holds what the agent wrote, and the agent what the control plane said.
// It reads the pins again, as any other process would: what someone else put in their place is
// seen. Any thread that may read maps; it waits while the agent writes.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "daemon/reconciler.h"
#include "model/drift.h"

namespace sockmesh {

class Verifier {
 public:
  // `inForce` answers what is in the kernel, null while it is being written.
  using InForceNow = std::function<std::shared_ptr<const InForce>()>;
  Verifier(std::string bpffsRoot, InForceNow inForce)
      : bpffsRoot_(std::move(bpffsRoot)), inForce_(std::move(inForce)) {}

  // A difference counts if it is there at two looks with no pass of the writer in between. An Error
  // where the maps cannot be read, or where the agent has no tables or writes all the time until
  // `patience` is over or `stop` is asked for.
  Result<DriftReport> verify(Nanos patience, const std::stop_token& stop) const;

 private:
  Result<DriftReport> look(const InForce& inForce) const;

  std::string bpffsRoot_;
  InForceNow inForce_;
};

}  // namespace sockmesh
