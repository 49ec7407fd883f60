// SPDX-License-Identifier: Apache-2.0
#include "unit/health/node.h"

namespace sockmesh {

SocketAddress host(int number) {
  return {IpAddress::v4({10, 0, static_cast<std::uint8_t>(number >> 8),
                         static_cast<std::uint8_t>(number & 255)}),
          80};
}

namespace {

std::shared_ptr<const LoadAssignment> assignmentOf(const std::vector<int>& numbers) {
  auto assignment = std::make_shared<LoadAssignment>();
  assignment->clusterName = kC;
  auto& locality = assignment->localities.emplace_back();
  for (const int number : numbers) locality.endpoints.emplace_back().address = host(number);
  return assignment;
}

}  // namespace

std::shared_ptr<const LoadAssignment> hosts(int count) {
  std::vector<int> numbers;
  for (int i = 1; i <= count; ++i) numbers.push_back(i);
  return assignmentOf(numbers);
}

std::shared_ptr<const LoadAssignment> hosts(std::initializer_list<int> numbers) {
  return assignmentOf(numbers);
}

std::shared_ptr<const Cluster> cluster(const std::optional<OutlierDetection>& settings,
                                       const std::string& name) {
  auto cluster = std::make_shared<Cluster>();
  cluster->name = name;
  cluster->outlierDetection = settings;
  return cluster;
}

Node::Node(const std::optional<OutlierDetection>& settings, int count) {
  configure(cluster(settings), hosts(count));
}

void Node::configure(std::shared_ptr<const Cluster> to,
                     std::shared_ptr<const LoadAssignment> with) {
  resource = std::move(to);
  assignment = std::move(with);
  lines.configure(*resource, *assignment);
  watch();
}

void Node::watch() {
  detector.watch({{kC, {resource, assignment}}}, clock.monotonic());
}

void Node::outcome(int number, int times, std::uint64_t client, bool success) {
  const auto onHint = [&](std::optional<Detector> which, Detection detection) {
    if (!hints) return;
    if (!which || detection == Detection::kEjected)
      detector.refresh(kC, host(number), clock.monotonic());
    else if (detection == Detection::kNotEnforced)
      detector.notEnforced(kC, host(number), *which, clock.monotonic());
  };
  for (int i = 0; i < times; ++i) lines.outcome(kC, host(number), client, success, onHint);
}

void Node::succeed(int number, int times, std::uint64_t client) {
  outcome(number, times, client, true);
}

void Node::fail(int number, int times, std::uint64_t client) {
  outcome(number, times, client, false);
}

void Node::sweep() {
  clock.set(*detector.nextSweep());
  detector.sweep(clock.monotonic());
}

void Node::advance(Nanos by) {
  const Nanos end = clock.monotonic() + by;
  while (detector.nextSweep() && *detector.nextSweep() <= end) sweep();
  clock.set(end);
}

std::vector<int> Node::ejectedHosts() {
  std::vector<int> numbers;
  for (const auto& endpoint : assignment->localities[0].endpoints) {
    const int number = endpoint.address.ip.bytes()[14] * 256 + endpoint.address.ip.bytes()[15];
    if (ejected(number)) numbers.push_back(number);
  }
  return numbers;
}

}  // namespace sockmesh
