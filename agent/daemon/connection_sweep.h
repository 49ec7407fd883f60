// SPDX-License-Identifier: Apache-2.0
// Sweeps the connection records from time to time, between other work of the control thread. Logs
// when another sock_ops program takes callbacks away. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "datapath/connection_sweeper.h"
#include "datapath/datapath.h"
#include "writer/grace_period.h"

namespace sockmesh {

class ConnectionSweep {
 public:
  // The first three outlive this. `programsBehind` names the sock_ops programs that run behind
  // ours,
  // "" for none. The first pass begins at once: it finds what is left from before.
  ConnectionSweep(EventLoop& loop, Datapath& datapath, GracePeriod& grace,
                  std::function<std::string()> programsBehind);
  ~ConnectionSweep();
  ConnectionSweep(const ConnectionSweep&) = delete;
  ConnectionSweep& operator=(const ConnectionSweep&) = delete;

 private:
  void post();
  void turn();
  void passed();
  void again(std::uint32_t gone);
  void reportLostCallbacks();

  EventLoop& loop_;
  Datapath& datapath_;
  GracePeriod& grace_;
  std::function<std::string()> programsBehind_;
  ConnectionSweeper sweeper_;
  std::uint32_t gone_ = 0;           // in this pass
  std::uint32_t ended_ = 0;          // in this pass
  std::uint64_t callbacksLost_ = 0;  // as of the last report
  bool reported_ = false;            // whether a pass of this agent looked at callbacksLost_
  std::string blamed_;               // the programs that were named last
  EventLoop::TimerId timer_ = 0;
  std::shared_ptr<ConnectionSweep*> self_;  // for posted tasks that outlive this
};

}  // namespace sockmesh
