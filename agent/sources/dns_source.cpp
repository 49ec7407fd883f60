// SPDX-License-Identifier: Apache-2.0
#include "sources/dns_source.h"

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
  due_.insert(refused_.begin(), refused_.end());
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
  dropReleased();
  ask();
  return changed;
}

void DnsSource::want(const std::string& name, std::shared_ptr<const DnsDiscovery> discovery) {
  unwant(name);
  for (const DnsQuestion& question : questionsOf(*discovery)) {
    addName(name, question, discovery->refresh);
  }
  const std::string host = hostOf(discovery->cluster);
  wanted_[name].discovery = discovery;
  for (const DnsQuestion& question : questionsOf(*discovery)) note(question);
  if (!host.empty()) {
    updateService(host, [&](Service& service) { service.clusters.insert(name); });
  }
  due_.insert(name);
  stats_.names = names_.names();
}

void DnsSource::addName(const std::string& user, const DnsQuestion& question,
                        const DnsRefresh& refresh) {
  names_.add(user, question, refresh, clock_.monotonic());
  if (!memory_) return;
  if (auto known = memory_->recall(question)) names_.recall(question, *std::move(known));
}

void DnsSource::unwant(const std::string& name) {
  const auto found = wanted_.find(name);
  if (found == wanted_.end()) return;
  for (const DnsQuestion& question : questionsOf(*found->second.discovery)) {
    names_.remove(name, question);
    released_.insert(question);
  }
  refused_.erase(name);
  refuse(found->second.discovery->cluster, "");
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
    if (question) addName(serviceUser(host), *question, like->refresh);
    const auto before = std::exchange(service.asked, std::move(question));
    if (before) released_.insert(*before);
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
  const auto set = store_.setResolved(name, endpoints);
  refuse(wanted.discovery->cluster, set ? "" : set.error().message());
  if (!set) {
    refused_.insert(name);
    return false;
  }
  refused_.erase(name);
  wanted.endpoints = std::move(endpoints);
  return *set;
}

// Keeps the list of clusters whose answers are too large, and logs what is new.
void DnsSource::refuse(const std::string& cluster, const std::string& why) {
  if (why.empty()) {
    stats_.refused.erase(cluster);
    return;
  }
  const auto listed = stats_.refused.find(cluster);
  if (listed != stats_.refused.end() && listed->second == why) return;
  stats_.refused[cluster] = why;
  logger("dns")->warn("cluster {}: the answer {}; its last endpoints stay", cluster, why);
}

// After everything that was newly wanted is known.
void DnsSource::dropReleased() {
  for (const DnsQuestion& question : std::exchange(released_, {})) {
    note(question);
    if (memory_ && names_.usersOf(question).empty()) memory_->forget(question);
  }
}

void DnsSource::forgetUnused() {
  if (memory_) memory_->dropUnused();
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
  const KnownName* known = names_.find(question);
  if (memory_ && answer && known != nullptr && !users.empty()) memory_->keep(question, *known);
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

// Keeps the lists at what is known.
void DnsSource::note(const DnsQuestion& question) {
  const bool isWanted = !names_.usersOf(question).empty();
  const KnownName* known = isWanted ? names_.find(question) : nullptr;
  const std::string text = textOf(question);
  noteProblem(text, known);
  noteHost(text, question, known);
}

void DnsSource::noteHost(const std::string& text, const DnsQuestion& question,
                         const KnownName* known) {
  const auto listed = stats_.hosts.find(text);
  const bool wasStale = listed != stats_.hosts.end() && listed->second.stale;
  stats_.stale += (known != nullptr && known->stale ? 1 : 0) - (wasStale ? 1 : 0);
  if (known == nullptr) {
    stats_.hosts.erase(text);
    return;
  }
  DnsHost host{.clusters = {}, .addresses = {}, .problem = known->problem, .stale = known->stale};
  std::set<std::string> clusters;
  for (const std::string& user : names_.usersOf(question)) {
    const auto found = wanted_.find(user);
    if (found != wanted_.end()) clusters.insert(found->second.discovery->cluster);
  }
  host.clusters.assign(clusters.begin(), clusters.end());
  for (const IpAddress& ip : known->addresses.empty() ? known->inOrder : known->addresses) {
    host.addresses.push_back(ip.toString());
  }
  stats_.hosts[text] = std::move(host);
}

// Logs what is new.
void DnsSource::noteProblem(const std::string& text, const KnownName* known) {
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
