// SPDX-License-Identifier: Apache-2.0
// What the agent's admin server answers, dead and alive.
#pragma once

#include "commands.h"

namespace sockmesh::ctl::test {

inline AgentReport deadAgent() {
  return {"127.0.0.1:15077", std::nullopt, "Connection refused"};
}

inline AgentRoutes noRoutes() {
  return {"127.0.0.1:15077", std::nullopt, "Connection refused"};
}

inline AgentReport liveAgent() {
  const char* const answer = R"({
    "version": "v1.2.3", "startedAt": "2026-01-02T03:04:05.000Z", "ready": false,
    "notReadyReasons": ["endpoints of 2 clusters have not arrived"],
    "xds": {
      "address": "istiod:15010", "connected": true, "connectedAt": "2026-01-02T03:04:06.000Z",
      "types": [
        {"type": "CDS", "version": "7", "accepted": 7, "rejected": 1,
         "lastUpdateAt": "2026-01-02T03:05:00.000Z",
         "lastRejection": {"at": "2026-01-02T03:04:30.000Z", "message": "clusters[0].name: empty"}},
        {"type": "EDS", "version": "9", "accepted": 9, "rejected": 0,
         "lastUpdateAt": null, "lastRejection": null}]},
    "needsLayer7": [
      {"service": "ratings", "cluster": "ratings-cluster", "hashPolicies": ["header x-user"]}],
    "notHonoured": {"resources": 3, "items": [
      {"kind": "Cluster", "name": "other",
       "fields": ["health_checks: endpoints are not checked actively"]},
      {"kind": "Cluster", "name": "reviews-v1",
       "fields": ["health_checks: endpoints are not checked actively"]},
      {"kind": "Listener", "name": "reviews:80",
       "fields": ["on_demand: clusters are not asked for by name"]}]},
    "leftAlone": [{"name": "0.0.0.0_80", "reason": "wildcard address 0.0.0.0:80"}],
    "conflicts": []})";
  return {"127.0.0.1:15077", Json::parse(answer), ""};
}

}  // namespace sockmesh::ctl::test
