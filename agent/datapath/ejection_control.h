// SPDX-License-Identifier: Apache-2.0
// Ejects and unejects for the agent by running BPF programs, so sock_ops and the agent share the
// code. Control thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "model/ejection.h"
#include "sockmesh_abi.h"

namespace sockmesh {

class EjectionControl {
 public:
  // Descriptors of the loaded programs sm_agent_detect and sm_agent_uneject, which outlive this.
  EjectionControl(int detectProgram, int unejectProgram)
      : detectProgram_(detectProgram), unejectProgram_(unejectProgram) {}

  // A detector fired for this endpoint: ejects it, or says why not. `client`: whose outcomes say
  // so, by place in `clients`; SM_CLIENT_NONE: those of all.
  Result<Detection> detect(std::uint32_t endpointId, Detector detector,
                           std::uint32_t enforcingPercent,
                           std::uint32_t client = SM_CLIENT_NONE) const;
  // Unejects the endpoint. False: it was not ejected.
  Result<bool> uneject(std::uint32_t endpointId) const;

 private:
  static Result<std::uint32_t> run(int program, sm_agent_request request);

  int detectProgram_;
  int unejectProgram_;
};

}  // namespace sockmesh
