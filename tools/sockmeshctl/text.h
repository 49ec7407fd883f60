// SPDX-License-Identifier: Apache-2.0
// Numbers for people. Machines get them unformatted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sockmesh::ctl {

std::string percentText(double percent);     // "33.3%", "100%"
std::string secondsText(double seconds);     // "640us", "1.5ms", "12s", "3m20s", "5h2m"
std::string bytesText(std::uint64_t bytes);  // "512B", "1.5KiB"
std::string join(const std::vector<std::string>& parts, const std::string& separator);
std::string countText(std::size_t count, const std::string& one);  // "1 service", "2 services"
std::string utcNow();                                              // "2026-01-02T03:04:05Z"
std::string utcText(std::int64_t sinceEpochNs);                    // "2026-01-02T03:04:05.678Z"
std::string withoutNewline(std::string text);                      // without newlines at its end

}  // namespace sockmesh::ctl
