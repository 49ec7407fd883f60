// SPDX-License-Identifier: Apache-2.0
#include "status_canary.h"

#include <algorithm>
#include <string>
#include <vector>

#include "text.h"

namespace sockmesh::ctl {
namespace {

const char* resultName(Canary::Result result) {
  switch (result) {
    case Canary::Result::kRewritten:
      return "Rewritten";
    case Canary::Result::kNotRewritten:
      return "NotRewritten";
    case Canary::Result::kDenied:
      return "Denied";
    case Canary::Result::kElsewhere:
      return "Elsewhere";
    case Canary::Result::kUnknown:
      return "Unknown";
  }
  return "Unknown";
}

std::string outcomeText(const Canary& canary) {
  const std::string what = "a connect() to " + canary.vip.toString() + " (" + canary.service + ")";
  const std::string where = canary.leadsTo ? canary.leadsTo->toString() : "";
  switch (canary.result) {
    case Canary::Result::kRewritten:
      return "yes, " + what + " leads to " + where;
    case Canary::Result::kNotRewritten:
      return "NO, " + what + " is not rewritten";
    case Canary::Result::kDenied:
      return "NO, " + what + " is denied (" + canary.problem + ")";
    case Canary::Result::kElsewhere:
      return "NO, " + what + " leads to " + where + ", which is no endpoint of it";
    case Canary::Result::kUnknown:
      return "not known, " + what + ": " + canary.problem;
  }
  return "not known";
}

std::string programsText(const std::vector<ProgramInfo>& programs) {
  std::vector<std::string> names;
  for (const ProgramInfo& program : programs) names.push_back(programText(program));
  return join(names, ", ");
}

bool isBad(const Canary& canary) {
  return canary.result != Canary::Result::kRewritten && canary.result != Canary::Result::kUnknown;
}

Json canaryJson(const Canary& canary) {
  Json before = Json::array();
  for (const ProgramInfo& program : canary.before) {
    before.push_back({{"id", program.id}, {"name", program.name}, {"tag", program.tag}});
  }
  return {{"hook", canary.hook},
          {"vip", canary.vip.toString()},
          {"service", canary.service},
          {"result", resultName(canary.result)},
          {"leadsTo", canary.leadsTo ? Json(canary.leadsTo->toString()) : Json(nullptr)},
          {"problem", canary.problem},
          {"programsBefore", before}};
}

}  // namespace

void addCanaries(const NodeView& view, Document& out) {
  Json canaries = Json::array();
  if (isStale(view.live)) {
    out.data["canaries"] = canaries;
    out.sections.push_back({"Effective: not asked, all services are left alone", {}});
    return;
  }
  for (const Canary& canary : view.canaries) {
    canaries.push_back(canaryJson(canary));
    out.sections.push_back({"Effective (" + canary.hook + "): " + outcomeText(canary), {}});
    if (!canary.before.empty()) {
      out.sections.push_back({"Before sockmesh on " + canary.hook + ": " +
                                  programsText(canary.before) +
                                  "; what it rewrites or denies, sockmesh does not see",
                              {}});
    }
    if (isBad(canary)) out.exitCode = kExitUnavailable;
  }
  if (view.canaries.empty()) {
    out.sections.push_back(
        {"Effective: not known, no service is balanced that could be tried", {}});
  }
  out.data["canaries"] = canaries;
}

}  // namespace sockmesh::ctl
