// SPDX-License-Identifier: Apache-2.0
// Ejects and unejects for the agent by running BPF programs, so sock_ops and the agent share the
// code. Control thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "datapath/programs.h"
#include "model/ejection.h"
#include "sockmesh_abi.h"

namespace sockmesh {

class EjectionControl {
 public:
  // `programs` outlive this. Before there are any, no endpoint is ejected, and none can be.
  explicit EjectionControl(const Programs& programs) : programs_(programs) {}

  // A detector fired for this endpoint: ejects it, or says why not. `client`: whose outcomes say
  // so, by place in `clients`; SM_CLIENT_NONE: those of all.
  Result<Detection> detect(std::uint32_t endpointId, Detector detector,
                           std::uint32_t enforcingPercent,
                           std::uint32_t client = SM_CLIENT_NONE) const;
  // Unejects the endpoint. False: it was not ejected.
  Result<bool> uneject(std::uint32_t endpointId) const;

 private:
  Result<std::uint32_t> run(const char* program, sm_agent_request request) const;

  const Programs& programs_;
};

}  // namespace sockmesh
