// SPDX-License-Identifier: Apache-2.0
// Where control plane, tables and kernel differ, for /verify.
#include "admin/json_views.h"

namespace sockmesh {
namespace {

const char* betweenName(Drift::Between between) {
  switch (between) {
    case Drift::Between::kControlPlaneAndTables:
      return "ControlPlaneAndTables";
    case Drift::Between::kTablesAndKernel:
      return "TablesAndKernel";
  }
  return "unknown";
}

}  // namespace

AdminJson verifyJson(const DriftReport& report) {
  AdminJson differences = AdminJson::array();
  for (const Drift& drift : report.drifts) {
    differences.push_back({{"between", betweenName(drift.between)},
                           {"kind", drift.kind},
                           {"name", drift.name},
                           {"field", drift.field},
                           {"wanted", drift.wanted},
                           {"found", drift.found}});
  }
  return {{"schemaVersion", kAdminSchemaVersion}, {"kind", "Verification"},
          {"services", report.services},          {"clusters", report.clusters},
          {"endpoints", report.endpoints},        {"differences", differences}};
}

}  // namespace sockmesh
