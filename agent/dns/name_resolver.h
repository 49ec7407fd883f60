// SPDX-License-Identifier: Apache-2.0
// Whoever turns host names into addresses.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "base/result.h"
#include "model/dns.h"

namespace sockmesh {

struct DnsAddress {
  IpAddress ip;
  std::chrono::seconds ttl{0};
  bool operator==(const DnsAddress&) const = default;
};

// Addresses in the order of the answer. Empty: the name does not exist, or has no address of this
// family. An Error: nobody knows, for example because no server answered.
using DnsAnswer = Result<std::vector<DnsAddress>>;

class NameResolver {
 public:
  virtual ~NameResolver() = default;
  // `done` is called once, on the resolver's thread and after resolve() has returned, or never if
  // the resolver is destroyed before. Call on the same thread.
  virtual void resolve(const DnsQuestion& question, std::function<void(DnsAnswer)> done) = 0;
};

}  // namespace sockmesh
