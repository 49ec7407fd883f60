// SPDX-License-Identifier: Apache-2.0
// An ADS server that makes its resources up: any number of TCP services, each a listener, an EDS
// cluster and an assignment, as istiod sends them. For benchmarks: it answers one client, in the
// protocol that the client speaks, and keeps no copy of sent resources.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>

#include "model/address.h"

namespace sockmesh::test {

struct MeshShape {
  int services = 0;
  int endpoints = 0;  // of each service; at most 60
};

// Of service `number`: its VIP, and its cluster's and assignment's name.
SocketAddress vipOf(int number);
std::string clusterOf(int number);

// Threads: gRPC's threads answer requests; the calls below may come from any one other thread.
class AdsGenerator {
 public:
  // Listens on `address` (HOST:PORT).
  AdsGenerator(MeshShape shape, const std::string& address);
  ~AdsGenerator();
  AdsGenerator(const AdsGenerator&) = delete;
  AdsGenerator& operator=(const AdsGenerator&) = delete;

  bool listening() const { return server_ != nullptr; }
  // Sends the assignment of service `number` again, with one endpoint's address changed.
  void changeEndpoint(int number);
  // Changes the connect_timeout of service `number` to `milliseconds`: sends its cluster in delta,
  // and all clusters in state of the world, which knows no other way.
  void changeCluster(int number, int milliseconds);
  // Bytes sent so far, all messages.
  std::uint64_t sentBytes() const;

 private:
  class Service;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace sockmesh::test
