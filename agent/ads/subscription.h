// SPDX-License-Identifier: Apache-2.0
// One resource type on one ADS stream after another: what is subscribed to, what is held, and what
// the server has to be told. Each protocol has a subscription of its own; the client drives all of
// them alike. A subscription knows no stream.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <string>
#include <vector>

#include "envoy/config/core/v3/core.pb.h"
#include "store/apply_result.h"
#include "store/resource_type.h"
#include "store/update.h"

namespace sockmesh {

class Subscription {
 public:
  using Node = envoy::config::core::v3::Node;

  virtual ~Subscription() = default;

  virtual const ResourceType& type() const = 0;

  // The names wanted from now on, sorted and unique; only for a type that is subscribed to by name.
  virtual void setNames(std::vector<std::string> names) = 0;

  // A new stream: nonces start over, what is held stays.
  virtual void onStreamUp() = 0;
  // True once this stream has carried a request of this type. Responses are expected only then.
  virtual bool requestedOnStream() const = 0;

  // What became of the latest response; nextRequest() then gives its ACK or NACK. An earlier
  // response that has not been answered yet is answered by it.
  virtual void answer(const Update& update, const ApplyResult& result) = 0;
  // A resource is held no more, although the server did not remove it: it is to be sent again.
  virtual void forget(const std::string& name) = 0;

  // Whether a request to the server is due: a subscription, an ACK or a NACK.
  virtual bool requestDue() const = 0;
  // The request that is due: the protocol's own message, serialized. `node` is in it where it is
  // not null.
  virtual grpc::ByteBuffer nextRequest(const Node* node) = 0;
};

}  // namespace sockmesh
