// SPDX-License-Identifier: Apache-2.0
#include "daemon/connection_sweep.h"

#include <utility>

#include "base/log.h"

namespace sockmesh {
namespace {

constexpr Nanos kInterval = std::chrono::seconds(30);
// After a pass that has seen sockets gone. The next pass ends their records.
constexpr Nanos kSoon = std::chrono::milliseconds(200);

std::uint64_t callbacksLost(const KernelMaps& maps) {
  const auto lost = readCounter(maps, SM_COUNTER_CALLBACKS_LOST);
  return lost ? *lost : 0;
}

}  // namespace

ConnectionSweep::ConnectionSweep(EventLoop& loop, Datapath& datapath, GracePeriod& grace,
                                 std::function<std::string()> programsBehind)
    : loop_(loop),
      datapath_(datapath),
      grace_(grace),
      programsBehind_(std::move(programsBehind)),
      sweeper_(datapath.sweeper()),
      self_(std::make_shared<ConnectionSweep*>(this)) {
  post();
}

ConnectionSweep::~ConnectionSweep() {
  *self_ = nullptr;
  loop_.cancel(timer_);
}

// One turn at a time, behind what is posted already.
void ConnectionSweep::post() {
  loop_.post([self = self_] {
    if (*self != nullptr) (*self)->turn();
  });
}

void ConnectionSweep::turn() {
  const auto turned = sweeper_.turn();
  if (!turned) {
    logger("datapath")->error("{}", turned.error().message());
    gone_ = ended_ = 0;
    again(0);
    return;
  }
  gone_ += turned->gone;
  ended_ += turned->ended;
  if (turned->last) {
    passed();
  } else {
    post();
  }
}

void ConnectionSweep::passed() {
  if (ended_ > 0) {
    logger("datapath")
        ->info("{} connection records ended: nothing had reported the end of their sockets",
               ended_);
  }
  reportLostCallbacks();
  if (const Status counted = datapath_.recountAffinity(); !counted) {
    logger("datapath")->error("{}", counted.error().message());
  }
  const std::uint32_t gone = std::exchange(gone_, 0);
  ended_ = 0;
  again(gone);
}

// A record that is being claimed may look as if its socket were gone. After a grace period it does
// not.
void ConnectionSweep::again(std::uint32_t gone) {
  if (gone == 0) {
    timer_ = loop_.after(kInterval, [this] { turn(); });
    return;
  }
  grace_.after([self = self_] {
    if (*self == nullptr) return;
    (*self)->timer_ = (*self)->loop_.after(kSoon, [sweep = *self] { sweep->turn(); });
  });
}

// A starting agent also reports what was lost before, if the other program is still there.
void ConnectionSweep::reportLostCallbacks() {
  const std::uint64_t lost = callbacksLost(datapath_.maps());
  const bool beforeUs = !std::exchange(reported_, true);
  const std::uint64_t more = lost - std::exchange(callbacksLost_, lost);
  if (more == 0) return;
  const std::string behind = programsBehind_();
  if (behind.empty() && beforeUs) return;
  if (behind == blamed_ && !blamed_.empty()) return;
  blamed_ = behind;
  logger("datapath")
      ->warn(
          "another sock_ops program took TCP's callbacks away from {} connections; that program "
          "sets its own callbacks without keeping the present ones, and runs behind ours: {}. The "
          "end of such connections is noticed late and less exactly",
          more, behind.empty() ? "not found now" : behind);
}

}  // namespace sockmesh
