// SPDX-License-Identifier: Apache-2.0
#include "ads/grpc_log.h"

#include <grpc/support/log.h>

#include "base/log.h"

namespace sockmesh {

void routeGrpcLog() {
  gpr_set_log_function([](gpr_log_func_args* message) {
    logger("grpc")->debug("{}:{}: {}", message->file, message->line, message->message);
  });
}

}  // namespace sockmesh
