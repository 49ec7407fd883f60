// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fmt/ranges.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <mutex>

#include "base/printable.h"

namespace sockmesh {
namespace {

// %v inserts the message unchanged: a name with a newline would make a line of its own.
template <std::string (*kEscape)(std::string_view)>
class EscapedMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string escaped = kEscape({message.payload.data(), message.payload.size()});
    out.append(escaped.data(), escaped.data() + escaped.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<EscapedMessage>();
  }
};

std::unique_ptr<spdlog::formatter> makeFormatter(bool json) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (json) {
    formatter->add_flag<EscapedMessage<jsonEscaped>>('J').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","scope":"%n","message":"%J"})");
  } else {
    formatter->add_flag<EscapedMessage<printable>>('J').set_pattern(
        "%Y-%m-%dT%H:%M:%S.%e %L %n: %J");
  }
  return formatter;
}

// spdlog's own registry is the one table of loggers in the process. The mutex guards "make if
// absent".
std::mutex creation;

Result<spdlog::level::level_enum> parseLevel(const std::string& level) {
  if (level == "warn") return spdlog::level::warn;
  if (level == "error") return spdlog::level::err;
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    return Error("\"" + level + "\" is not a log level (" + logLevels() + ")");
  }
  return parsed;
}

}  // namespace

bool isLogLevel(const std::string& level) {
  return std::ranges::find(kLogLevels, level) != kLogLevels.end();
}

std::string logLevels() {
  return fmt::format("{}", fmt::join(kLogLevels, ", "));
}

Status configureLogging(const std::string& level, bool json) {
  const auto parsed = parseLevel(level);
  if (!parsed) return parsed.error();
  auto main =
      std::make_shared<spdlog::logger>("main", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  spdlog::set_default_logger(main);
  spdlog::set_formatter(makeFormatter(json));
  spdlog::set_level(*parsed);
  spdlog::flush_on(spdlog::level::warn);
  return {};
}

Status setLogLevel(const std::string& scope, const std::string& level) {
  const auto parsed = parseLevel(level);
  if (!parsed) return parsed.error();
  if (scope.empty()) {
    spdlog::set_level(*parsed);
    return {};
  }
  const auto found = spdlog::get(scope);
  if (!found) return Error("no log scope \"" + scope + "\"");
  found->set_level(*parsed);
  return {};
}

std::shared_ptr<spdlog::logger> logger(const std::string& scope) {
  const std::lock_guard lock(creation);
  if (auto found = spdlog::get(scope)) return found;
  auto made = std::make_shared<spdlog::logger>(scope, spdlog::default_logger()->sinks().begin(),
                                               spdlog::default_logger()->sinks().end());
  spdlog::initialize_logger(made);
  return made;
}

}  // namespace sockmesh
