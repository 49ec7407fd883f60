// SPDX-License-Identifier: Apache-2.0
// The composition root: what sockmeshd is made of, and the order in which it starts.
//
//   threads: control (the event loop: ids, map writer, detector, timers) runs in run().
//   Configuration (ADS state, compiler) turns responses into tables. The two exchange immutable
//   values. The threads of gRPC, the admin server and the grace period only post to one of the two
//   or read published values.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>

#include "admin/admin_server.h"
#include "admin/admin_state.h"
#include "base/event_loop.h"
#include "base/latest.h"
#include "config/config.h"
#include "daemon/configuration_thread.h"
#include "daemon/connection_sweep.h"
#include "daemon/privileged_helper.h"
#include "daemon/reconciler.h"
#include "daemon/stale_limit.h"
#include "daemon/verifier.h"
#include "datapath/datapath.h"
#include "ejection/outlier_loop.h"
#include "kube/pod_watch.h"
#include "served/served_pods.h"
#include "writer/grace_period.h"
#include "writer/id_registry.h"
#include "writer/kernel_store.h"

namespace sockmesh {

class Agent {
 public:
  // Binds the admin port, then opens the datapath's maps, so a failure outside the kernel comes
  // before anything is attached. Then this thread gives up what a running agent does not need, and
  // threads that are made later have no more. Where an agent has been before, it takes over from
  // that. SIGTERM and SIGINT must be blocked already, and there must be no other thread.
  static Result<std::unique_ptr<Agent>> create(const Config& config);
  ~Agent();

  // Until SIGTERM or SIGINT. The datapath stays. Where no agent has been before, the programs are
  // attached here, beside all else; if that is impossible, this ends with the Error and the maps
  // are removed.
  Status run();

 private:
  explicit Agent(const Config& config) : config_(config) {}
  Status watchSignals();
  Status startAdmin();
  Status addAdminSocket(HttpListeners& listeners) const;
  Status startHelper();
  Status openMaps();
  Programs loadBeside();
  Status takeOver(Programs programs);
  Status begin(Programs programs);
  Status giveUpPrivileges() const;
  Status buildControlLoop();
  Status startConfiguration();
  void takeNews(ConfigurationThread::News news);
  void connectControlLoop();
  void introduce() const;
  Status adoptRunningDatapath();
  Status startControlPlane();
  Status startPodWatch();
  void watchDatapath();
  Result<DriftReport> verify() const;
  Status repair() const;
  void repairNow(std::function<void(Status)> done) const;
  void publishReadiness();
  void publishStats();

  std::stop_source stopping_;  // for what waits on the admin server's threads
  Config config_;
  std::unique_ptr<EventLoop> loop_;
  UniqueFd signals_;
  std::shared_ptr<PrivilegedHelper> helper_;  // null: the agent never had CAP_SYS_ADMIN
  AdminState state_;
  AgentStats stats_;
  std::unique_ptr<Datapath> datapath_;
  std::unique_ptr<GracePeriod> grace_;
  std::unique_ptr<KernelStore> kernel_;
  IdRegistry ids_;
  std::unique_ptr<Reconciler> reconciler_;
  std::atomic<std::shared_ptr<const InForce>> inForce_;
  std::unique_ptr<OutlierLoop> outliers_;
  std::unique_ptr<ConnectionSweep> sweep_;
  std::unique_ptr<ServedPods> served_;
  std::unique_ptr<Latest<PodNews>> podNews_;
  std::unique_ptr<PodWatch> podWatch_;  // null: no rule asks for it
  std::unique_ptr<StaleLimit> staleLimit_;
  std::unique_ptr<Latest<ConfigurationThread::News>> news_;
  std::unique_ptr<ConfigurationThread> configuration_;
  Status failure_;  // of run()

  // Last: their handlers read state_. There is a metrics server only if it has an address.
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<AdminServer> metrics_;
  std::thread loading_;  // of the programs, at a first start
};

}  // namespace sockmesh
