// SPDX-License-Identifier: Apache-2.0
// LbTables by hand, for tests of the datapath without the compiler.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lb/tables.h"

namespace sockmesh::test {

class TableBuilder {
 public:
  // A round robin service over `endpoints`, in order; empty: it refuses. A VIP is an address or a
  // range, as Vip::parse() takes them.
  TableBuilder& service(const std::string& vip, const std::string& cluster,
                        const std::vector<std::string>& endpoints);
  TableBuilder& random(const std::string& vip, const std::string& cluster,
                       const std::vector<std::string>& endpoints);
  // `cluster`: "": none.
  TableBuilder& leftAlone(const std::string& vip, const std::string& cluster, sm_reason reason);
  // The cluster's outlier detection: `threshold` failures in a row eject, at most `limit`
  // endpoints.
  TableBuilder& ejecting(const std::string& cluster, std::uint32_t threshold, std::uint32_t limit,
                         Nanos base = std::chrono::seconds(30),
                         Nanos connectTimeout = std::chrono::seconds(5));
  // The service at `other` becomes the second leg of an even split at `vip`.
  TableBuilder& joined(const std::string& vip, const std::string& other);
  // No endpoint of the service has an IPv6 address: sockets that reach IPv6 alone are refused.
  TableBuilder& unreachableOverIpv6(const std::string& vip);
  // A service that exists already becomes one of UDP.
  TableBuilder& udp(const std::string& vip);
  // Client-IP session affinity for a service that exists already.
  TableBuilder& affine(const std::string& vip, std::uint32_t seconds);
  std::shared_ptr<const LbTables> build() const { return std::make_shared<LbTables>(tables_); }

 private:
  void add(const std::string& vip, std::shared_ptr<const LbGroup> group);
  void cluster(const std::string& name, const std::vector<SocketAddress>& hosts);
  LbTables tables_;
};

}  // namespace sockmesh::test
