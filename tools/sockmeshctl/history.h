// SPDX-License-Identifier: Apache-2.0
// The agent's audit log (docs/history.md), read from its files: also while no agent runs.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "commands.h"
#include "document.h"

namespace sockmesh::ctl {

// Calls `take` with each line, oldest first: PATH.N to PATH.1, then PATH. What is no line of the
// log is skipped. An Error if no file can be read.
Status readHistory(const std::string& path, const std::function<void(const Json& line)>& take);

// Where the log of this agent is. An Error if it does not answer, or has none.
Result<std::string> auditLogOf(const AgentReport& agent);

struct HistoryFilter {
  std::string since;     // earliest time, RFC 3339 in UTC or a part from its begin; empty: all
  std::string resource;  // a part of the name; empty: all
};
// What was accepted and rejected.
Outcome history(const std::string& path, const HistoryFilter& filter);

// "90s", "10m", "2h" and "3d" before `now` (seconds since the epoch), or a time as in `since`, as
// such a time. An Error says what is wrong with `text`.
Result<std::string> sinceOf(const std::string& text, std::int64_t now);

// What differs between the resources after two lines of the log. `from` and `to` name them: "r12",
// or a version, which is its last line. An empty `to` is the last line. A Failure if there is none.
Outcome historyDiff(const std::string& path, const std::string& from, const std::string& to);

}  // namespace sockmesh::ctl
