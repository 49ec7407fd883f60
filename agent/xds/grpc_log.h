// gRPC's own messages, which it would write to stderr in a form of its own.
#pragma once

namespace sockmesh {

// Sends them to the log scope "grpc", at debug: gRPC tells of every refused socket and retry, and
// our own messages say what that means. Call after configureLogging(), before channels are made.
void routeGrpcLog();

}  // namespace sockmesh
