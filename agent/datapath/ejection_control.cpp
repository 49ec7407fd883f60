// SPDX-License-Identifier: Apache-2.0
#include "datapath/ejection_control.h"

#include <bpf/bpf.h>

#include <cerrno>

namespace sockmesh {

Result<std::uint32_t> EjectionControl::run(const char* program, sm_agent_request request) const {
  if (programs_.empty()) return 0;
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &request, .ctx_size_in = sizeof(request));
  if (bpf_prog_test_run_opts(programs_.fd(program), &options) != 0) {
    return Error::fromErrno("running the agent's programs", errno);
  }
  return request.answer;
}

Result<Detection> EjectionControl::detect(std::uint32_t endpointId, Detector detector,
                                          std::uint32_t enforcingPercent,
                                          std::uint32_t client) const {
  const auto answer = run("sm_agent_detect", {.endpoint_id = endpointId,
                                              .detector = static_cast<__u32>(detector),
                                              .enforcing_percent = enforcingPercent,
                                              .answer = 0,
                                              .client = client,
                                              .pad = 0});
  if (!answer) return answer.error();
  switch (static_cast<sm_detection>(*answer)) {
    case SM_DETECTION_EJECTED:
      return Detection::kEjected;
    case SM_DETECTION_OVERFLOW:
      return Detection::kOverflow;
    case SM_DETECTION_NOT_ENFORCED:
      return Detection::kNotEnforced;
    case SM_DETECTION_OWN:
      return Detection::kOwn;
    case SM_DETECTION_NONE:
      break;
  }
  return Detection::kNone;
}

Result<bool> EjectionControl::uneject(std::uint32_t endpointId) const {
  sm_agent_request request{};
  request.endpoint_id = endpointId;
  const auto answer = run("sm_agent_uneject", request);
  if (!answer) return answer.error();
  return *answer != 0;
}

}  // namespace sockmesh
