// SPDX-License-Identifier: Apache-2.0
#include "decode/listener_parts.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace sockmesh {
namespace {

using Speaks = FilterChains::Speaks;
using Routes = std::shared_ptr<const RouteConfig>;

// istiod's clusters for destinations that it does not know. They are no service's.
bool isNoService(const TcpRoute& route) {
  return std::ranges::all_of(route.clusters, [](const WeightedCluster& leg) {
    return leg.name == "PassthroughCluster" || leg.name == "BlackHoleCluster";
  });
}

// The host of a route whose legs are istiod's clusters of one host, "outbound|PORT|SUBSET|HOST". ""
// otherwise.
std::string hostOf(const TcpRoute& route) {
  std::string host;
  for (const WeightedCluster& leg : route.clusters) {
    const std::size_t at = leg.name->rfind('|');
    if (!leg.name->starts_with("outbound|") || at == std::string::npos) return "";
    const std::string one = leg.name->substr(at + 1);
    if (!host.empty() && one != host) return "";
    host = one;
  }
  return host;
}

std::string targetText(const TcpRoute& route) {
  std::string text;
  for (const WeightedCluster& leg : route.clusters) {
    text += (text.empty() ? "" : ", ") + *leg.name;
  }
  return text;
}

// The virtual host that a connection to an address of the listener itself belongs to, as far as
// that is known without the request.
struct HostChoice {
  const VirtualHost* host = nullptr;
  std::string whyNone;
  std::string needsLayer7;
};

// No domain is a range.
bool namesAddress(const VirtualHost& host, const Vip& address) {
  return !address.isRange() && std::ranges::any_of(host.addresses, [&](const SocketAddress& one) {
    return one.ip == address.ip && (one.port == 0 || one.port == address.port);
  });
}

HostChoice hostFor(const RouteConfig& config, const Vip& address) {
  const VirtualHost* chosen = nullptr;
  for (const VirtualHost& host : config.virtualHosts) {
    if (namesAddress(host, address)) return {&host, "", ""};
    if (host.anyDomain) chosen = &host;
  }
  if (config.virtualHosts.size() == 1) return {&config.virtualHosts.front(), "", ""};
  if (chosen == nullptr) {
    return {nullptr,
            config.virtualHosts.empty() ? "its routes have no virtual host"
                                        : "the Host header selects the virtual host",
            ""};
  }
  const bool same = std::ranges::all_of(config.virtualHosts, [&](const VirtualHost& host) {
    return host.leftAlone == chosen->leftAlone && host.target == chosen->target;
  });
  return {chosen, "",
          same ? "" : "domains: the Host header selects among virtual hosts; this is the one of *"};
}

class PartsMaker {
 public:
  PartsMaker(const DecodedListener& listener, const RouteLookup& routes, const NameTable* names,
             ServiceNames* services)
      : listener_(listener), routes_(routes), nameTable_(names), services_(services) {}

  std::vector<ListenerPart> all() {
    if (!listener_.leftAlone.empty()) {
      ListenerPart part = leftAlonePart(listener_.name, listener_.leftAlone);
      LeftAlone& leftAlone = part.leftAlone.edit();
      leftAlone.vips.assign(listener_.addresses.begin(), listener_.addresses.end());
      if (!listener_.udp) leftAlone.holes = holesAmong(leftAlone.vips);
      return {part};
    }
    for (const SocketAddress& address : listener_.addresses) {
      if (address.ip.isUnspecified()) continue;
      if (address.port == 0) {
        leaveOut(address, "no port: " + address.toString());
      } else {
        atAddress(address, VipSource::kAddress);
      }
    }
    for (const SocketAddress& address : listener_.addresses) {
      if (!address.ip.isUnspecified()) continue;
      if (!listener_.udp) behindWildcard(address);
      leaveOut(address, "wildcard address " + address.toString());
    }
    return finished();
  }

 private:
  // Addresses with the same route.
  struct Key {
    std::string chain;
    int host = -1;  // index of the virtual host; -1: a tcp_proxy or udp_proxy
    VipSource source = VipSource::kAddress;
    auto operator<=>(const Key&) const = default;
  };

  const ChainRoute* chainAt(const std::string& path) const {
    const auto found = listener_.routes.find(path);
    return found == listener_.routes.end() ? nullptr : &found->second;
  }

  Routes routesOf(const HttpChain& chain) const {
    return chain.inlined ? chain.inlined : routes_(chain.routeConfig);
  }

  ListenerPart leftAlonePart(const std::string& name, std::string reason) const {
    ListenerPart part{name, nullptr, LeftAlone{name, std::move(reason)}};
    part.leftAlone.edit().origin.listener = listener_.name;
    return part;
  }

  void leaveOut(const Vip& address, const std::string& reason) {
    if (whyNone_.empty()) whyNone_ = reason;
    const char* what = address.isRange() ? "range " : "address ";
    leftOut_.push_back(what + address.toString() + ": " + reason);
    if (address.isRange() || !address.ip.isUnspecified()) vipsLeftOut_.push_back(address);
  }

  static std::vector<Vip> holesAmong(std::vector<Vip> vips) {
    std::erase_if(vips, [](const Vip& vip) {
      return vip.port == 0 || (!vip.isRange() && vip.ip.isUnspecified());
    });
    return vips;
  }

  // ---- one address, known in full ----

  void atAddress(const Vip& vip, VipSource source) {
    if (listener_.udp) return addToProxy(vip, source, "", *listener_.udp);
    const FilterChains::Choice choice = listener_.chains.choose(vip);
    const FilterChains::Choice http = listener_.chains.choose(vip, Speaks::kHttp);
    const ChainRoute* plain = chainAt(choice.path);
    const ChainRoute* speaking = chainAt(http.path);
    const bool speaksHttp = speaking != nullptr && speaking->http && speaking->leftAlone.empty();
    const bool toProxy = plain != nullptr && plain->leftAlone.empty() && !plain->http;
    const bool toService = toProxy && !isNoService(plain->route);
    if (toService || (toProxy && !speaksHttp && source == VipSource::kAddress)) {
      addToProxy(vip, source, choice.path, *plain);
      if (speaksHttp) noteHttp(vip, source, choice.path, http.path, *speaking->http);
    } else if (speaksHttp) {
      addToHost(vip, source, http.path, *speaking->http);
    } else if (toProxy) {
      leaveOut(vip, "leads to " + targetText(plain->route));
    } else {
      leaveOut(vip, plain == nullptr ? choice.whyNone : plain->leftAlone);
    }
  }

  void addToProxy(const Vip& vip, VipSource source, const std::string& path,
                  const ChainRoute& chain) {
    const bool byName = source == VipSource::kResolved;
    Listener& part = partOf({path, -1, source}, byName ? hostOf(chain.route) : path);
    part.route = chain.route;
    part.notHonoured = chain.notHonoured;
    addVip(part, vip);
  }

  // The tcp_proxy is for connections whose protocol is not known. A proxy that sees HTTP may send
  // it elsewhere.
  void noteHttp(const Vip& vip, VipSource source, const std::string& path,
                const std::string& httpPath, const HttpChain& chain) {
    const Routes config = routesOf(chain);
    if (!config) return;
    Listener& part = partOf({path, -1, source}, path);
    const HostChoice choice = hostFor(*config, vip);
    if (choice.host == nullptr || !choice.host->leftAlone.empty()) return;
    if (choice.host->target.clusters == part.route.clusters) return;
    const std::string note =
        httpPath + ": connections that speak HTTP go to " + targetText(choice.host->target);
    if (std::ranges::find(part.needsLayer7, note) == part.needsLayer7.end()) {
      part.needsLayer7.push_back(note);
    }
  }

  void addToHost(const Vip& vip, VipSource source, const std::string& path,
                 const HttpChain& chain) {
    const Routes config = routesOf(chain);
    if (!config) return leaveOut(vip, waitsFor(chain));
    const HostChoice choice = hostFor(*config, vip);
    if (choice.host == nullptr) return leaveOut(vip, choice.whyNone);
    if (!choice.host->leftAlone.empty()) {
      return leaveOut(vip, "virtual host " + choice.host->name + ": " + choice.host->leftAlone);
    }
    Listener& part = addHost(vip, source, path, chain, *config, *choice.host);
    if (!choice.needsLayer7.empty()) part.needsLayer7.push_back(choice.needsLayer7);
  }

  static std::string waitsFor(const HttpChain& chain) {
    return "waits for route configuration " + chain.routeConfig;
  }

  Listener& addHost(const Vip& vip, VipSource source, const std::string& path,
                    const HttpChain& chain, const RouteConfig& config, const VirtualHost& host) {
    const int index = static_cast<int>(&host - config.virtualHosts.data());
    const bool known = parts_.contains({path, index, source});
    const bool byName = source == VipSource::kNameTable;
    Listener& part = partOf({path, index, source}, byName ? host.name + "/names" : host.name);
    addVip(part, vip);
    if (known) return part;
    part.route = host.target;
    part.needsLayer7 = host.needsLayer7;
    part.needsLayer7.insert(part.needsLayer7.end(), chain.needsLayer7.begin(),
                            chain.needsLayer7.end());
    part.notHonoured = chainAt(path)->notHonoured;
    part.origin.routeConfig = config.name;
    part.origin.virtualHost = host.name;
    part.origin.route = host.route;
    return part;
  }

  // ---- a wildcard address ----

  // The port of a VIP behind the wildcard; 0: none is named, or another listener's.
  std::uint16_t portBehind(const SocketAddress& wildcard, std::uint16_t named) const {
    if (listener_.originalDestination) return named;
    return named == 0 || named == wildcard.port ? wildcard.port : 0;
  }

  void behindWildcard(const SocketAddress& wildcard) {
    for (const FilterChains::Range& range : listener_.chains.ranges()) {
      const std::uint16_t port = portBehind(wildcard, range.port);
      if (port == 0) {
        rangesLeftOut_.insert("range " + range.toString() + ": names no port of this listener");
      } else if (range.length == 0) {
        rangesLeftOut_.insert("range " + range.toString() + " port " + std::to_string(port) +
                              ": a wildcard");
      } else {
        atAddress(range.at(port), VipSource::kPrefix);
      }
    }
    for (const auto& [path, chain] : listener_.routes) {
      if (!chain.leftAlone.empty()) continue;
      if (chain.http) {
        hostsBehind(wildcard, path, *chain.http);
      } else {
        serviceBehind(wildcard, path, chain);
      }
    }
  }

  // The addresses of a name, where services without a VIP have VIPs by their names.
  std::vector<IpAddress> resolved(const std::string& name) {
    if (services_ == nullptr || name.empty() || name.find('*') != std::string::npos) return {};
    services_->wanted.insert(name);
    const auto known = services_->resolved.find(name);
    return known == services_->resolved.end() ? std::vector<IpAddress>{} : known->second;
  }

  // A tcp_proxy behind a wildcard is for a service without a VIP.
  void serviceBehind(const SocketAddress& wildcard, const std::string& path,
                     const ChainRoute& chain) {
    const std::uint16_t port = portBehind(wildcard, listener_.chains.portOf(path));
    if (port == 0) return;
    for (const IpAddress& ip : resolved(hostOf(chain.route))) {
      const SocketAddress vip{ip, port};
      if (ip.isUnspecified() || listener_.chains.choose(vip).path != path) continue;
      addToProxy(vip, VipSource::kResolved, path, chain);
    }
  }

  void hostsBehind(const SocketAddress& wildcard, const std::string& path, const HttpChain& chain) {
    const std::uint16_t port = portBehind(wildcard, listener_.chains.portOf(path));
    const Routes config = routesOf(chain);
    if (port == 0) return;
    if (!config) {
      whyNone_ = whyNone_.empty() ? waitsFor(chain) : whyNone_;
      return;
    }
    for (const VirtualHost& host : config->virtualHosts) {
      hostBehind(port, path, chain, *config, host);
    }
    if (nameTable_ == nullptr) return;
    for (const VirtualHost& host : config->virtualHosts) {
      namesBehind(port, path, chain, *config, host);
    }
  }

  // Of a service with several addresses istiod's routes name one. A virtual host without any
  // address is a headless service's, or one whose addresses stand for something else.
  void namesBehind(std::uint16_t port, const std::string& path, const HttpChain& chain,
                   const RouteConfig& config, const VirtualHost& host) {
    const auto named = nameTable_->find(host.hostName);
    if (named == nameTable_->end() || host.addresses.empty()) return;
    if (!host.leftAlone.empty() || isNoService(host.target)) return;
    for (const IpAddress& ip : named->second) {
      const SocketAddress vip{ip, port};
      if (ip.isUnspecified() || vips_.contains(vip)) continue;
      if (listener_.chains.choose(vip, Speaks::kHttp).path != path) continue;
      addHost(vip, VipSource::kNameTable, path, chain, config, host);
    }
  }

  void hostBehind(std::uint16_t port, const std::string& path, const HttpChain& chain,
                  const RouteConfig& config, const VirtualHost& host) {
    std::string why = host.leftAlone;
    if (why.empty() && isNoService(host.target)) why = "leads to " + targetText(host.target);
    const bool leftAlone = !why.empty();
    if (!leftAlone) why = "no domain is an address";
    bool any = false;
    for (const SocketAddress& domain : host.addresses) {
      const SocketAddress vip{domain.ip, port};
      const bool otherPort = domain.port != 0 && domain.port != port;
      if (leftAlone || otherPort || domain.ip.isUnspecified()) continue;
      if (listener_.chains.choose(vip, Speaks::kHttp).path != path) {
        why = vip.toString() + " meets another filter chain";
        continue;
      }
      addHost(vip, VipSource::kDomain, path, chain, config, host);
      any = true;
    }
    if (!leftAlone && host.addresses.empty()) {
      any = addResolved(port, path, chain, config, host);
    }
    if (any) return;
    LeftAlone& left = hostsLeftAlone_[{path, host.name}];
    left.reason = why;
    left.origin = {listener_.name, path, config.name, host.name, host.route};
    for (const SocketAddress& domain : host.addresses) {
      const Vip& vip = left.vips.emplace_back(domain.ip, port);
      const bool here = listener_.chains.choose(vip, Speaks::kHttp).path == path;
      if (here && !domain.ip.isUnspecified()) left.holes.push_back(vip);
    }
  }

  // Whether the host's name has an address that meets the chain.
  bool addResolved(std::uint16_t port, const std::string& path, const HttpChain& chain,
                   const RouteConfig& config, const VirtualHost& host) {
    bool any = false;
    for (const IpAddress& ip : resolved(host.hostName)) {
      const SocketAddress vip{ip, port};
      if (ip.isUnspecified()) continue;
      if (listener_.chains.choose(vip, Speaks::kHttp).path != path) continue;
      addHost(vip, VipSource::kResolved, path, chain, config, host);
      any = true;
    }
    return any;
  }

  // ---- the result ----

  void addVip(Listener& part, const Vip& vip) {
    if (!vips_.insert(vip).second) return;
    part.addresses.push_back(vip);
  }

  // The first part at the listener's own addresses has the listener's name.
  Listener& partOf(const Key& key, const std::string& label) {
    const auto [entry, isNew] = parts_.try_emplace(key);
    Listener& part = entry->second;
    if (!isNew) return part;
    const bool own = key.source == VipSource::kAddress && !named_;
    named_ = named_ || own;
    part.name = unique(own ? listener_.name : listener_.name + "/" + label);
    part.source = key.source;
    if (listener_.udp) part.protocol = Protocol::kUdp;
    part.origin.listener = listener_.name;
    part.origin.filterChain = key.chain;
    return part;
  }

  // Several chains may have virtual hosts of one name.
  std::string unique(std::string name) {
    while (!names_.insert(name).second) name += "'";
    return name;
  }

  std::vector<ListenerPart> finished() {
    std::vector<ListenerPart> all;
    leftOut_.insert(leftOut_.end(), rangesLeftOut_.begin(), rangesLeftOut_.end());
    if (!named_) {
      all.push_back(leftAlonePart(unique(listener_.name), reasonOfAll()));
      all.back().leftAlone.edit().vips = vipsLeftOut_;
      all.back().leftAlone.edit().holes = holes();
    }
    for (auto& [key, part] : parts_) {
      if (part.addresses.empty()) continue;
      if (part.name == listener_.name) {
        part.notHonoured.insert(part.notHonoured.end(), leftOut_.begin(), leftOut_.end());
        part.holes = holes();
      }
      const std::string name = part.name;
      all.push_back({name, std::make_shared<const Listener>(std::move(part)), {}});
    }
    for (auto& [key, left] : hostsLeftAlone_) {
      left.name = unique(listener_.name + "/" + key.second);
      const std::string name = left.name;
      all.push_back({name, nullptr, std::move(left)});
    }
    return all;
  }

  std::vector<Vip> holes() const {
    return listener_.udp ? std::vector<Vip>{} : holesAmong(vipsLeftOut_);
  }

  std::string reasonOfAll() const {
    std::string reason = whyNone_;
    for (const std::string& range : rangesLeftOut_) reason += "; " + range;
    return reason;
  }

  const DecodedListener& listener_;
  const RouteLookup& routes_;
  const NameTable* nameTable_;
  ServiceNames* services_;
  std::map<Key, Listener> parts_;
  std::map<std::pair<std::string, std::string>, LeftAlone> hostsLeftAlone_;  // chain, host
  std::set<Vip> vips_;
  std::set<std::string> names_;
  bool named_ = false;  // a part has the listener's name
  std::string whyNone_;
  std::vector<std::string> leftOut_;
  std::vector<Vip> vipsLeftOut_;
  std::set<std::string> rangesLeftOut_;
};

}  // namespace

std::vector<ListenerPart> partsOf(const DecodedListener& listener, const RouteLookup& routes,
                                  const NameTable* names, ServiceNames* services) {
  return PartsMaker(listener, routes, names, services).all();
}

}  // namespace sockmesh
