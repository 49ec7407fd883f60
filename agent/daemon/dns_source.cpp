// SPDX-License-Identifier: Apache-2.0
#include "daemon/dns_source.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "dns/resolved_endpoints.h"

namespace sockmesh {
namespace {

// For people. Questions that differ in their servers alone look alike.
std::string textOf(const DnsQuestion& question) {
  switch (question.family) {
    case DnsFamily::kV4Only:
      return question.name + " (IPv4)";
    case DnsFamily::kV6Only:
      return question.name + " (IPv6)";
    case DnsFamily::kAuto:
    case DnsFamily::kV4Preferred:
    case DnsFamily::kAll:
      break;
  }
  return question.name;
}

constexpr std::string_view kService = "service ";

std::string serviceUser(const std::string& host) {
  return std::string(kService) + host;
}

// Of a cluster with a name of istiod's form, "outbound|PORT||HOST". "" otherwise.
std::string hostOf(const std::string& cluster) {
  return cluster.starts_with("outbound|") ? cluster.substr(cluster.rfind('|') + 1) : "";
}

}  // namespace

DnsSource::DnsSource(EventLoop& loop, ResourceStore& store, std::unique_ptr<NameResolver> resolver,
                     Events events)
    : loop_(loop),
      store_(store),
      events_(std::move(events)),
      names_(std::random_device()()),
      resolver_(std::move(resolver)) {}

DnsSource::~DnsSource() {
  loop_.cancel(timer_);
}

// Endpoints that come into force may let go of others, and a cluster of addresses alone needs no
// answer. So it goes on until nothing is new.
bool DnsSource::sync() {
  bool changed = false;
  do {
    for (auto& [name, discovery] : store_.takeDnsChanges()) {
      discovery ? want(name, std::move(discovery)) : unwant(name);
    }
    for (const auto& [host, wanted] : store_.takeServiceNames()) {
      updateService(host, [isWanted = wanted](Service& service) { service.wanted = isWanted; });
    }
    for (const std::string& host : std::exchange(dueServices_, {})) {
      changed = publishService(host) || changed;
    }
    for (const std::string& name : std::exchange(due_, {})) changed = publish(name) || changed;
  } while (!due_.empty() || !dueServices_.empty() || store_.dnsHasChanges());
  ask();
  return changed;
}

void DnsSource::want(const std::string& name, std::shared_ptr<const DnsDiscovery> discovery) {
  unwant(name);
  for (const DnsQuestion& question : questionsOf(*discovery)) {
    names_.add(name, question, discovery->refresh, clock_.monotonic());
  }
  const std::string host = hostOf(discovery->cluster);
  wanted_[name].discovery = std::move(discovery);
  if (!host.empty()) {
    updateService(host, [&](Service& service) { service.clusters.insert(name); });
  }
  due_.insert(name);
  stats_.names = names_.names();
}

void DnsSource::unwant(const std::string& name) {
  const auto found = wanted_.find(name);
  if (found == wanted_.end()) return;
  for (const DnsQuestion& question : questionsOf(*found->second.discovery)) {
    names_.remove(name, question);
    note(question);
  }
  const std::string host = hostOf(found->second.discovery->cluster);
  if (!host.empty()) updateService(host, [&](Service& service) { service.clusters.erase(name); });
  wanted_.erase(found);
  unknown_.erase(name);
  due_.erase(name);
  stats_.names = names_.names();
}

// The name is asked for as the first of the host's clusters says.
void DnsSource::updateService(const std::string& host,
                              const std::function<void(Service&)>& change) {
  Service& service = services_[host];
  change(service);
  const DnsDiscovery* like = nullptr;
  if (service.wanted && !service.clusters.empty()) {
    like = wanted_.at(*service.clusters.begin()).discovery.get();
  }
  std::optional<DnsQuestion> question;
  if (like != nullptr) question = DnsQuestion{host, like->family, like->settings};
  if (question != service.asked) {
    if (service.asked) names_.remove(serviceUser(host), *service.asked);
    if (question) names_.add(serviceUser(host), *question, like->refresh, clock_.monotonic());
    const auto before = std::exchange(service.asked, std::move(question));
    if (before) note(*before);
    dueServices_.insert(host);
  }
  stats_.names = names_.names();
  if (!service.wanted && service.clusters.empty() && !service.asked) {
    // publishService() takes its addresses back.
    services_.erase(host);
  }
}

// True where the service has other VIPs than before. VIPs stay while the name brings no address.
bool DnsSource::publishService(const std::string& host) {
  const auto found = services_.find(host);
  if (found == services_.end() || !found->second.asked) {
    return store_.setServiceAddresses(host, {});
  }
  const KnownName* known = names_.find(*found->second.asked);
  if (known == nullptr || known->inOrder.empty()) return false;
  return store_.setServiceAddresses(host,
                                    known->addresses.empty() ? known->inOrder : known->addresses);
}

// True where the store has other endpoints than before.
bool DnsSource::publish(const std::string& name) {
  const auto found = wanted_.find(name);
  if (found == wanted_.end()) return false;
  Wanted& wanted = found->second;
  auto endpoints = resolvedEndpoints(*wanted.discovery, names_);
  if (!endpoints) return false;
  if (neverResolved(*wanted.discovery, names_)) {
    unknown_[name] = wanted.discovery->cluster;
  } else {
    unknown_.erase(name);
  }
  if (wanted.endpoints && sameEndpoints(*wanted.endpoints, *endpoints)) return false;
  wanted.endpoints = endpoints;
  return store_.setResolved(name, std::move(endpoints));
}

// Puts what is due, and comes back for the rest.
void DnsSource::ask() {
  const Nanos now = clock_.monotonic();
  for (const DnsQuestion& question : names_.takeDue(now)) {
    resolver_->resolve(question,
                       [this, question](const DnsAnswer& answer) { onAnswer(question, answer); });
  }
  loop_.cancel(std::exchange(timer_, 0));
  const auto next = names_.next();
  if (!next) return;
  timer_ = loop_.after(std::max(*next - now, Nanos(0)), [this] {
    timer_ = 0;
    ask();
  });
}

void DnsSource::onAnswer(const DnsQuestion& question, const DnsAnswer& answer) {
  const auto users = names_.answered(question, answer, clock_.monotonic());
  stats_.answered = names_.counts().answered;
  stats_.failed = names_.counts().failed;
  if (answer) stats_.lastAnswerAt = clock_.wall();
  note(question);
  ask();
  if (users.empty()) return events_.onStats();
  for (const std::string& user : users) {
    if (wanted_.contains(user)) {
      due_.insert(user);
    } else {
      dueServices_.insert(user.substr(kService.size()));
    }
  }
  events_.onNews();
}

// Keeps the list of problems at what is known, and logs what is new.
void DnsSource::note(const DnsQuestion& question) {
  const KnownName* known = names_.find(question);
  const std::string text = textOf(question);
  const std::string problem = known == nullptr ? "" : known->problem;
  const auto listed = stats_.problems.find(text);
  const std::string before = listed == stats_.problems.end() ? "" : listed->second;
  if (problem == before) return;
  if (problem.empty()) {
    stats_.problems.erase(text);
    if (known != nullptr) logger("dns")->info("{}: resolves again", text);
    return;
  }
  stats_.problems[text] = problem;
  logger("dns")->warn("{}: does not resolve: {}{}", text, problem,
                      known->addresses.empty() ? "" : "; its last addresses stay in use");
}

void DnsSource::addUnknown(Unknowns& unknowns) const {
  for (const auto& [name, cluster] : unknown_) unknowns.clusters.insert(cluster);
}

}  // namespace sockmesh
