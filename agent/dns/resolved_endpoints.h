// SPDX-License-Identifier: Apache-2.0
// The endpoints of a DNS cluster, made of what is known of its names.
#pragma once

#include <memory>
#include <set>

#include "dns/name_schedule.h"
#include "model/assignment.h"
#include "model/dns.h"

namespace sockmesh {

// The names that have to be asked for.
std::set<DnsQuestion> questionsOf(const DnsDiscovery& discovery);

// Null while the cluster still waits: no name has brought an address, and the first question of one
// is not over.
//
// Each address of a target is an endpoint with the target's weight, locality and health. An address
// that several targets of one locality have is one endpoint with the sum of their weights. In
// another locality the first target counts. Of a logical cluster the first address of the answer is
// the endpoint, with the first one of the other family as its other address.
std::shared_ptr<const LoadAssignment> resolvedEndpoints(const DnsDiscovery& discovery,
                                                        const NameSchedule& names);

// Whether the endpoints are unknown although the cluster waits no more: all names failed, and none
// has ever been answered.
bool neverResolved(const DnsDiscovery& discovery, const NameSchedule& names);

// Whether connections and people see no difference.
bool sameEndpoints(const LoadAssignment& a, const LoadAssignment& b);

}  // namespace sockmesh
