// SPDX-License-Identifier: Apache-2.0
// The composition root: what sockmeshd is made of, and the order in which it starts.
//
//   threads: control (the event loop: ADS state, compiler, ids, map writer, timers) runs in run();
//   The threads of gRPC, civetweb and the grace period only post to the control thread or read
//   published values.
#pragma once

#include <memory>

#include "admin/admin_server.h"
#include "admin/admin_state.h"
#include "base/event_loop.h"
#include "daemon/config.h"
#include "daemon/connection_sweep.h"
#include "daemon/reconciler.h"
#include "daemon/udp_services.h"
#include "datapath/datapath.h"
#include "datapath/grace_period.h"
#include "datapath/id_registry.h"
#include "datapath/kernel_store.h"
#include "ejection/outlier_loop.h"
#include "xds/ads_client.h"
#include "xds/resource_store.h"

namespace sockmesh {

class Agent {
 public:
  // Binds the admin port, then loads and attaches the datapath. So a failure outside the kernel
  // comes before anything is attached. SIGTERM and SIGINT must be blocked already.
  static Result<std::unique_ptr<Agent>> create(const Config& config);
  ~Agent();

  // Until SIGTERM or SIGINT. The datapath stays.
  void run();

 private:
  explicit Agent(const Config& config) : config_(config) {}
  Status watchSignals();
  Status startAdmin();
  Status openDatapath();
  Status buildControlLoop();
  void connectControlLoop();
  void introduce() const;
  Status adoptRunningDatapath();
  void startControlPlane();
  void watchDatapath();
  void publishReadiness();
  void publishStats();

  Config config_;
  std::unique_ptr<EventLoop> loop_;
  UniqueFd signals_;
  AdminState state_;
  AgentStats stats_;
  std::unique_ptr<Datapath> datapath_;
  std::unique_ptr<GracePeriod> grace_;
  std::unique_ptr<KernelStore> kernel_;
  IdRegistry ids_;
  std::unique_ptr<Reconciler> reconciler_;
  std::unique_ptr<OutlierLoop> outliers_;
  std::unique_ptr<ConnectionSweep> sweep_;
  ResourceStore resources_;
  UdpServices udpServices_{config_.udpServices};
  std::unique_ptr<AdsClient> ads_;
  // Last: their handlers read state_. There is a metrics server only if it has an address.
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<AdminServer> metrics_;
};

}  // namespace sockmesh
