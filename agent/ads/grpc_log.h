// SPDX-License-Identifier: Apache-2.0
// Redirects gRPC's own messages, which otherwise go to stderr in another form.
#pragma once

namespace sockmesh {

// Sends them to the log scope "grpc", at debug: gRPC reports every refused socket and retry, and
// the agent's own messages say what they mean. Call after configureLogging(), before channels are
// made.
void routeGrpcLog();

}  // namespace sockmesh
