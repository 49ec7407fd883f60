// SPDX-License-Identifier: Apache-2.0
#include "ads/grpc_log.h"

#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>

#include <spdlog/sinks/ostream_sink.h>

#include "base/log.h"

namespace sockmesh {
namespace {

TEST(GrpcLog, WhatGrpcSaysIsALineOfOursAndNothingGoesToStderrRaw) {
  std::ostringstream ours;
  const auto log = logger("grpc");
  log->sinks() = {std::make_shared<spdlog::sinks::ostream_sink_mt>(ours)};
  routeGrpcLog();
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);  // as gRPC's own start does
  ::testing::internal::CaptureStderr();
  gpr_log(GPR_ERROR, "socket %d refused", 7);
  EXPECT_EQ(ours.str(), "") << "an error of gRPC's is a detail of ours";
  log->set_level(spdlog::level::debug);
  gpr_log(GPR_ERROR, "socket %d refused", 7);
  EXPECT_NE(ours.str().find("socket 7 refused"), std::string::npos) << ours.str();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  spdlog::drop("grpc");
  gpr_set_log_function(nullptr);
}

}  // namespace
}  // namespace sockmesh
