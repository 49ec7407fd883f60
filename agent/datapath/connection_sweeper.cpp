// SPDX-License-Identifier: Apache-2.0
#include "datapath/connection_sweeper.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace sockmesh {
namespace {

// In one turn: a fraction of a millisecond where few records are in use.
constexpr std::uint32_t kTurnSets = 4 * SM_SWEEP_SETS;
constexpr std::uint32_t kTurnCookies = 1024;

template <typename Request>
Status runProgram(int program, Request& request) {
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &request, .ctx_size_in = sizeof(request));
  if (bpf_prog_test_run_opts(program, &options) == 0) return {};
  return Error::fromErrno("sweeping the connection records", errno);
}

}  // namespace

Result<ConnectionSweeper::Turn> ConnectionSweeper::turn() {
  Turn turn;
  const bool inSets = set_ < maps_.connections.size() / SM_CONN_WAYS;
  const Status swept = inSets ? sweepSets(turn) : sweepOverflow(turn);
  if (!swept || turn.last) begin();
  if (!swept) return swept.error();
  return turn;
}

void ConnectionSweeper::begin() {
  set_ = 0;
  overflowCursor_.reset();
}

Status ConnectionSweeper::sweepSets(Turn& turn) {
  const auto sets = static_cast<std::uint32_t>(maps_.connections.size() / SM_CONN_WAYS);
  const std::uint32_t end = std::min(sets, set_ + kTurnSets);
  while (set_ < end) {
    const std::uint32_t count = std::min<std::uint32_t>(SM_SWEEP_SETS, end - set_);
    sm_sweep_sets request{.first = set_, .count = count, .gone = 0, .ended = 0};
    if (auto ran = runProgram(setsProgram_, request); !ran) return ran;
    turn.gone += request.gone;
    turn.ended += request.ended;
    set_ += count;
  }
  turn.last = set_ == sets && maps_.globals[0].conn_overflow_live == 0;
  return {};
}

Status ConnectionSweeper::sweepOverflow(Turn& turn) {
  std::vector<std::uint64_t> cookies(kTurnCookies);
  std::vector<sm_connection> records(kTurnCookies);
  std::uint32_t count = kTurnCookies;
  std::uint32_t next = 0;
  LIBBPF_OPTS(bpf_map_batch_opts, options);
  const int read =
      bpf_map_lookup_batch(maps_.connOverflow.fd(), overflowCursor_ ? &*overflowCursor_ : nullptr,
                           &next, cookies.data(), records.data(), &count, &options);
  if (read != 0 && errno != ENOENT) return Error::fromErrno("reading conn_overflow", errno);
  turn.last = read != 0;  // ENOENT: these were the last ones
  overflowCursor_ = next;
  for (std::uint32_t from = 0; from < count; from += SM_SWEEP_COOKIES) {
    sm_sweep_cookies request{};
    const std::uint32_t some = std::min<std::uint32_t>(SM_SWEEP_COOKIES, count - from);
    std::copy_n(cookies.begin() + from, some, request.cookie);
    if (auto ran = runProgram(overflowProgram_, request); !ran) return ran;
    turn.gone += request.gone;
    turn.ended += request.ended;
  }
  return {};
}

}  // namespace sockmesh
