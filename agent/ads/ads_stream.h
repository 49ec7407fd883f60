// SPDX-License-Identifier: Apache-2.0
// One streaming call to the control plane. Everything it reports runs on the event loop's thread,
// everything it is told comes from there.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>

#include "store/update.h"

namespace sockmesh {

class AdsStream {
 public:
  struct Events {
    std::function<void(const Update&)> onUpdate;
    // Called when the last request is on its way. The next one may be sent.
    std::function<void()> onSent;
    // The last event; the stream may be destroyed in it. Never called after the destructor.
    std::function<void(const grpc::Status&)> onClosed;
  };

  AdsStream() = default;
  // Cancels the call if it is still open and waits until gRPC has let go of it.
  virtual ~AdsStream() = default;
  AdsStream(const AdsStream&) = delete;
  AdsStream& operator=(const AdsStream&) = delete;

  // Sends a serialized request of the protocol that the stream was opened for, one at a time: the
  // next one may follow after onSent(). A server that does not read cannot make requests pile up
  // here. Dropped once the stream has ended.
  virtual void send(grpc::ByteBuffer request) = 0;
  // A request is on its way out.
  virtual bool sending() const = 0;
  // Asks for the next message: one onUpdate() for each call. Nothing is read ahead, so that a fast
  // server cannot fill the memory.
  virtual void receiveNext() = 0;
};

// "UNAVAILABLE: failed to connect ...", for people.
std::string describeStatus(const grpc::Status& status);

}  // namespace sockmesh
