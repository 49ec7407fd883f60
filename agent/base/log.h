// SPDX-License-Identifier: Apache-2.0
// Logging: named spdlog loggers as scopes ("xds", "datapath", ...), text for people or one JSON
// object a line. Data goes to stdout, messages to stderr. A message is one line: newlines and
// characters that control a terminal are escaped (base/printable.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/result.h"

namespace sockmesh {

inline const std::vector<std::string> kLogLevels = {"trace", "debug", "info",
                                                    "warn",  "error", "off"};
bool isLogLevel(const std::string& level);
// All of them, with commas.
std::string logLevels();

// Call once, before threads start. `level` is one of kLogLevels.
Status configureLogging(const std::string& level, bool json);

// Sets the level of one scope, or of all scopes if `scope` is empty. Any thread.
Status setLogLevel(const std::string& scope, const std::string& level);

// The logger of a scope, made when first asked for. Any thread.
std::shared_ptr<spdlog::logger> logger(const std::string& scope);

}  // namespace sockmesh
