// SPDX-License-Identifier: Apache-2.0
// NameTable. Addresses that cannot be read are passed over: a resolver would not get them either.
#include "decode/decode.h"

namespace sockmesh {

Result<std::shared_ptr<const NameTable>> decodeNameTable(
    const istio::networking::nds::v1::NameTable& proto) {
  auto decoded = std::make_shared<NameTable>();
  for (const auto& [host, info] : proto.table()) {
    std::vector<IpAddress>& addresses = (*decoded)[host];
    for (const std::string& text : info.ips()) {
      if (const auto ip = IpAddress::parse(text); ip.ok()) addresses.push_back(*ip);
    }
  }
  return std::shared_ptr<const NameTable>(std::move(decoded));
}

}  // namespace sockmesh
