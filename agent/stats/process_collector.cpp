// SPDX-License-Identifier: Apache-2.0
#include "stats/process_collector.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "stats/families.h"

namespace sockmesh {
namespace {

struct ProcessStat {
  double cpuSeconds = 0;
  double startSecondsAfterBoot = 0;
  double residentBytes = 0;
};

// Fields of proc(5): 14 utime, 15 stime, 22 starttime (ticks), 24 rss (pages).
std::optional<ProcessStat> readStat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // The command in field 2 may hold blanks and parentheses; its last ')' ends it.
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessStat out;
  std::string field;
  for (int number = 3; number <= 24 && fields >> field; ++number) {
    if (number == 14 || number == 15) out.cpuSeconds += std::stod(field) / ticks;
    if (number == 22) out.startSecondsAfterBoot = std::stod(field) / ticks;
    if (number == 24) {
      out.residentBytes = std::stod(field) * static_cast<double>(sysconf(_SC_PAGESIZE));
    }
  }
  return out;
}

std::optional<double> bootTime() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::stod(line.substr(6));
  }
  return std::nullopt;
}

std::optional<double> openFds() {
  std::error_code failed;
  double count = 0;
  for (auto it = std::filesystem::directory_iterator("/proc/self/fd", failed);
       !failed && it != std::filesystem::directory_iterator(); it.increment(failed)) {
    ++count;
  }
  // The descriptor of the listing itself is one of them.
  return failed ? std::nullopt : std::optional(count - 1);
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessCollector::Collect() const {
  std::vector<prometheus::MetricFamily> out;
  const auto gauge = [&out](const char* name, const char* help, double value) {
    out.push_back(gaugeFamily(name, help).add({}, value).take());
  };
  if (const auto stat = readStat()) {
    out.push_back(counterFamily("process_cpu_seconds_total", "User and system CPU time.")
                      .add({}, stat->cpuSeconds)
                      .take());
    gauge("process_resident_memory_bytes", "Resident memory.", stat->residentBytes);
    if (const auto boot = bootTime()) {
      gauge("process_start_time_seconds", "When the process started (Unix time).",
            *boot + stat->startSecondsAfterBoot);
    }
  }
  if (const auto fds = openFds()) gauge("process_open_fds", "Open file descriptors.", *fds);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    gauge("process_max_fds", "Limit of open file descriptors.",
          static_cast<double>(limit.rlim_cur));
  }
  return out;
}

}  // namespace sockmesh
