// SPDX-License-Identifier: Apache-2.0
// istio.workload.Address. A service among them is known by its name alone: it has no address that
// an endpoint has.
#include <algorithm>
#include <array>
#include <optional>

#include "decode/decode.h"

namespace sockmesh {
namespace {

std::optional<IpAddress> addressOf(const std::string& bytes) {
  std::array<std::uint8_t, 4> four{};
  std::array<std::uint8_t, 16> sixteen{};
  if (bytes.size() == four.size()) {
    std::ranges::copy(bytes, four.begin());
    return IpAddress::v4(four);
  }
  if (bytes.size() != sixteen.size()) return std::nullopt;
  std::ranges::copy(bytes, sixteen.begin());
  return IpAddress::v6(sixteen);
}

}  // namespace

Result<std::shared_ptr<const Workload>> decodeWorkload(const istio::workload::Address& proto) {
  auto decoded = std::make_shared<Workload>();
  if (!proto.has_workload()) return std::shared_ptr<const Workload>(std::move(decoded));
  FieldErrors errors;
  const FieldErrors::Scope scope(errors, "workload");
  const istio::workload::Workload& workload = proto.workload();
  decoded->name = workload.name();
  decoded->space = workload.namespace_();
  decoded->node = workload.node();
  for (int i = 0; i < workload.addresses_size(); ++i) {
    const FieldErrors::Scope item(errors, "addresses", static_cast<std::size_t>(i));
    const std::string& bytes = workload.addresses(i);
    if (const auto address = addressOf(bytes)) {
      decoded->addresses.push_back(*address);
    } else {
      errors.add("has " + std::to_string(bytes.size()) + " bytes, and an IP address has 4 or 16");
    }
  }
  if (!errors.empty()) return errors.error();
  return std::shared_ptr<const Workload>(std::move(decoded));
}

}  // namespace sockmesh
