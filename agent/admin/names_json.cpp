// SPDX-License-Identifier: Apache-2.0
// What the agent knows of endpoints and the kernel does not: workloads and host names.
#include "admin/json_views.h"

namespace sockmesh {

AdminJson dnsHostsJson(const DnsStats& dns) {
  AdminJson json = AdminJson::array();
  for (const auto& [name, host] : dns.hosts) {
    json.push_back({{"name", name},
                    {"clusters", host.clusters},
                    {"addresses", host.addresses},
                    {"problem", host.problem},
                    {"stale", host.stale}});
  }
  return json;
}

AdminJson namesJson(const Snapshot* snapshot, const DnsStats& dns) {
  AdminJson workloads = AdminJson::array();
  static const Snapshot kNothing;
  for (const auto& [address, workload] : (snapshot == nullptr ? kNothing : *snapshot).workloads) {
    workloads.push_back({{"address", address.toString()},
                         {"name", workload->name},
                         {"namespace", workload->space},
                         {"node", workload->node}});
  }
  return {{"schemaVersion", kAdminSchemaVersion},
          {"kind", "Names"},
          {"workloads", workloads},
          {"hosts", dnsHostsJson(dns)}};
}

}  // namespace sockmesh
