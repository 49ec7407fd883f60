// SPDX-License-Identifier: Apache-2.0
// The programs in the kernel, and services that benchmarks put into their tables. Whatever fails
// ends the program with the error's text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "datapath/datapath.h"
#include "lb/compiler.h"
#include "support/sandbox.h"
#include "writer/kernel_store.h"
#include "writer/map_writer.h"

namespace sockmesh::test {

[[noreturn]] void die(const Error& error);

// Eight addresses, the prefix and 2 to 9: hostsAt("127.0.0.", 80).
std::vector<SocketAddress> hostsAt(const std::string& prefix, std::uint16_t port);

struct BenchService {
  LbPolicy policy = LbPolicy::kRandom;
  bool weighted = false;            // weights 1, 2, 3 ... instead of equal ones
  std::uint32_t balanceFactor = 0;  // hash_balance_factor, percent; 0: none
  Protocol protocol = Protocol::kTcp;
};

// `vip` is an address or a range, with the port.
void addService(Snapshot& snapshot, const std::string& vip, const std::vector<SocketAddress>& hosts,
                const BenchService& service = {});

class BenchMesh {
 public:
  BenchMesh();

  const Sandbox& sandbox() const { return *sandbox_; }
  std::size_t services() const { return writer_->services(); }
  Datapath& datapath() { return *datapath_; }
  void apply(const Snapshot& snapshot, CompilerOptions rules = {});

 private:
  std::unique_ptr<Sandbox> sandbox_;
  std::unique_ptr<Datapath> datapath_;
  std::unique_ptr<BlockingGracePeriod> grace_;
  std::unique_ptr<KernelStore> store_;
  std::unique_ptr<CountingStore> counted_;
  IdRegistry ids_;
  std::unique_ptr<MapWriter> writer_;
};

}  // namespace sockmesh::test
