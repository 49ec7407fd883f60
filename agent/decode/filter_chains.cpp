// SPDX-License-Identifier: Apache-2.0
#include "decode/filter_chains.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "decode/decode_common.h"

namespace sockmesh {

namespace listener = envoy::config::listener::v3;

namespace {

constexpr unsigned kAddressBits = 128;
constexpr unsigned kV4Offset = 96;  // IPv4 sits in the last 32 bits
constexpr Bounds kPorts{1, 65535};
constexpr std::string_view kRawBuffer = "raw_buffer";

std::string lowerCase(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

template <typename T>
void sortUnique(std::vector<T>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

template <typename T>
bool intersect(const std::vector<T>& a, const std::vector<T>& b) {
  auto x = a.begin();
  auto y = b.begin();
  while (x != a.end() && y != b.end()) {
    if (*x == *y) return true;
    *x < *y ? ++x : ++y;
  }
  return false;
}

std::vector<std::string> decodeServerNames(const listener::FilterChainMatch& match,
                                           FieldErrors& errors) {
  std::vector<std::string> names;
  for (int i = 0; i < match.server_names_size(); ++i) {
    const std::string name = lowerCase(match.server_names(i));
    const std::string_view rest = std::string_view(name).substr(name.starts_with("*.") ? 2 : 0);
    if (rest.find('*') != std::string_view::npos) {
      const FieldErrors::Scope scope(errors, "server_names", i);
      errors.add("'" + name + "': only a leading \"*.\" is a wildcard");
    }
    names.push_back(name);
  }
  if (names.empty()) names.emplace_back();
  sortUnique(names);
  return names;
}

std::vector<std::uint32_t> decodeSourcePorts(const listener::FilterChainMatch& match,
                                             FieldErrors& errors) {
  std::vector<std::uint32_t> ports;
  for (int i = 0; i < match.source_ports_size(); ++i) {
    const FieldErrors::Scope scope(errors, "source_ports", i);
    if (match.source_ports(i) < kPorts.min || match.source_ports(i) > kPorts.max) {
      errors.add(std::to_string(match.source_ports(i)) + " is not a port");
    }
    ports.push_back(match.source_ports(i));
  }
  if (ports.empty()) ports.push_back(0);
  sortUnique(ports);
  return ports;
}

std::string pathOf(std::size_t index) {
  return "filter_chains[" + std::to_string(index) + "]";
}

}  // namespace

bool FilterChains::Prefix::contains(const Vip& vip) const {
  if (any) return true;
  if (address.isV4() != vip.ip.isV4() || length > vip.bits) return false;
  return maskedTo(vip.ip, length) == address;
}

bool FilterChains::Match::overlaps(const Match& other) const {
  return destinationPort == other.destinationPort && sourceType == other.sourceType &&
         transportProtocol == other.transportProtocol && intersect(prefixes, other.prefixes) &&
         intersect(serverNames, other.serverNames) &&
         intersect(applicationProtocols, other.applicationProtocols) &&
         intersect(directSourcePrefixes, other.directSourcePrefixes) &&
         intersect(sourcePrefixes, other.sourcePrefixes) &&
         intersect(sourcePorts, other.sourcePorts);
}

bool FilterChains::Match::dependsOnSource() const {
  return sourceType != listener::FilterChainMatch::ANY || !directSourcePrefixes.front().any ||
         !sourcePrefixes.front().any || sourcePorts.front() != 0;
}

std::vector<FilterChains::Prefix> FilterChains::decodePrefixes(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& ranges,
    std::string_view field, FieldErrors& errors) {
  std::vector<Prefix> prefixes;
  for (int i = 0; i < ranges.size(); ++i) {
    const FieldErrors::Scope scope(errors, field, i);
    const auto ip = IpAddress::parse(ranges.Get(i).address_prefix());
    if (!ip.ok()) {
      errors.add("address_prefix", "'" + ranges.Get(i).address_prefix() + "' is not an IP address");
    }
    const std::uint32_t given = wrapped(ranges.Get(i).has_prefix_len(), ranges.Get(i).prefix_len(),
                                        0U, "prefix_len", errors, {0, kAddressBits});
    if (!ip.ok() || given > kAddressBits) continue;
    // Envoy takes an IPv4 length of more than 32 as 32.
    const unsigned length = ip->isV4() ? kV4Offset + std::min(given, 32U) : given;
    prefixes.push_back({false, maskedTo(*ip, length), length});
  }
  if (prefixes.empty()) prefixes.emplace_back();
  sortUnique(prefixes);
  return prefixes;
}

FilterChains::Match FilterChains::decodeMatch(const listener::FilterChain& chain, std::size_t index,
                                              FieldErrors& errors) {
  const listener::FilterChainMatch& proto = chain.filter_chain_match();
  const FieldErrors::Scope scope(errors, "filter_chain_match");
  Match match;
  match.index = index;
  match.destinationPort = wrapped(proto.has_destination_port(), proto.destination_port(), 0U,
                                  "destination_port", errors, kPorts);
  match.prefixes = decodePrefixes(proto.prefix_ranges(), "prefix_ranges", errors);
  match.serverNames = decodeServerNames(proto, errors);
  match.transportProtocol = proto.transport_protocol();
  match.applicationProtocols.assign(proto.application_protocols().begin(),
                                    proto.application_protocols().end());
  if (match.applicationProtocols.empty()) match.applicationProtocols.emplace_back();
  sortUnique(match.applicationProtocols);
  match.directSourcePrefixes =
      decodePrefixes(proto.direct_source_prefix_ranges(), "direct_source_prefix_ranges", errors);
  checkEnum(listener::FilterChainMatch::ConnectionSourceType_IsValid(proto.source_type()),
            proto.source_type(), "source_type", errors);
  match.sourceType = proto.source_type();
  match.sourcePrefixes =
      decodePrefixes(proto.source_prefix_ranges(), "source_prefix_ranges", errors);
  match.sourcePorts = decodeSourcePorts(proto, errors);
  if (!proto.address_suffix().empty()) errors.add("address_suffix", "is not implemented");
  if (proto.has_suffix_len()) errors.add("suffix_len", "is not implemented");
  return match;
}

const std::shared_ptr<const FilterChains::Matches>& FilterChains::oneForAll() {
  static const std::shared_ptr<const Matches> matches = [] {
    FieldErrors none;
    const Match match = decodeMatch(listener::FilterChain::default_instance(), 0, none);
    return std::make_shared<const Matches>(1, match);
  }();
  return matches;
}

FilterChains::FilterChains(const listener::Listener& proto, FieldErrors& errors)
    : hasDefault_(proto.has_default_filter_chain()) {
  Matches matches;
  for (int i = 0; i < proto.filter_chains_size(); ++i) {
    const FieldErrors::Scope scope(errors, "filter_chains", i);
    matches.push_back(decodeMatch(proto.filter_chains(i), i, errors));
  }
  // A filter_chain_matcher replaces the matches. Matches may be equal then.
  if (!proto.has_filter_chain_matcher()) refuseOverlaps(matches, errors);
  matches_ = matches == *oneForAll() ? oneForAll() : std::make_shared<Matches>(std::move(matches));
}

// Chains that overlap share a value of every criterion. So only chains with a common server name
// (or a common range of addresses, if there are more of those) are compared. For a listener with a
// chain for each host, comparing all with all would take seconds.
void FilterChains::refuseOverlaps(const Matches& matches, FieldErrors& errors) {
  std::set<std::string> names;
  std::set<Prefix> prefixes;
  for (const Match& match : matches) {
    names.insert(match.serverNames.begin(), match.serverNames.end());
    prefixes.insert(match.prefixes.begin(), match.prefixes.end());
  }
  std::map<std::pair<std::string, Prefix>, std::vector<std::size_t>> sharing;
  const auto firstOverlap = [&](std::size_t i, const std::pair<std::string, Prefix>& key) {
    std::vector<std::size_t>& earlier = sharing[key];
    const auto found = std::find_if(earlier.begin(), earlier.end(),
                                    [&](std::size_t j) { return matches[i].overlaps(matches[j]); });
    const std::size_t first = found == earlier.end() ? i : *found;
    earlier.push_back(i);
    return first;
  };
  for (std::size_t i = 0; i < matches.size(); ++i) {
    std::size_t first = i;
    if (names.size() > prefixes.size()) {
      for (const auto& name : matches[i].serverNames) {
        first = std::min(first, firstOverlap(i, {name, Prefix()}));
      }
    } else {
      for (const Prefix& prefix : matches[i].prefixes) {
        first = std::min(first, firstOverlap(i, {"", prefix}));
      }
    }
    if (first == i) continue;
    const FieldErrors::Scope scope(errors, "filter_chains", i);
    errors.add("filter_chain_match",
               "matches the same connections as filter_chains[" + std::to_string(first) + "]");
  }
}

FilterChains::Choice FilterChains::fallBack(const std::string& whyNone) const {
  if (hasDefault_) return {"default_filter_chain", ""};
  return {"", whyNone};
}

std::string FilterChains::Range::toString() const {
  return address.toString() + "/" + std::to_string(length);
}

Vip FilterChains::Range::at(std::uint16_t atPort) const {
  const unsigned shared = length + (address.isV4() ? kV4Offset : 0);
  return {address, atPort, static_cast<std::uint8_t>(shared)};
}

std::vector<FilterChains::Range> FilterChains::ranges() const {
  std::vector<Range> all;
  for (const Match& match : *matches_) {
    for (const Prefix& prefix : match.prefixes) {
      if (prefix.any) continue;
      all.push_back({prefix.address, prefix.length - (prefix.address.isV4() ? kV4Offset : 0),
                     static_cast<std::uint16_t>(match.destinationPort)});
    }
  }
  sortUnique(all);
  return all;
}

std::uint16_t FilterChains::portOf(const std::string& path) const {
  for (const Match& match : *matches_) {
    if (pathOf(match.index) == path) return static_cast<std::uint16_t>(match.destinationPort);
  }
  return 0;
}

// The client sends the names of application protocols only where it speaks HTTP.
void FilterChains::keepApplicationProtocol(Candidates& candidates, Speaks speaks) {
  const auto names = [](const Match* match, const std::string& protocol) {
    return std::ranges::binary_search(match->applicationProtocols, protocol);
  };
  std::string wanted;
  if (speaks == Speaks::kHttp) {
    for (const char* protocol : {"http/1.1", "h2c"}) {
      const bool named = std::ranges::any_of(
          candidates, [&](const Match* match) { return names(match, protocol); });
      if (wanted.empty() && named) wanted = protocol;
    }
  }
  std::erase_if(candidates, [&](const Match* match) { return !names(match, wanted); });
}

// Keeps the chains with the longest range that holds `vip`. Envoy does not come back to a shorter
// range if later criteria match nothing.
void FilterChains::keepLongestPrefix(Candidates& candidates, const Vip& vip) {
  const auto longest = [&](const Match& match) {
    int best = -1;
    for (const Prefix& prefix : match.prefixes) {
      if (!prefix.contains(vip)) continue;
      const unsigned floor = vip.ip.isV4() ? kV4Offset : 0;
      // An explicit range of length 0 comes before a missing range.
      best = std::max(best, prefix.any ? 0 : static_cast<int>(prefix.length - floor) + 1);
    }
    return best;
  };
  int best = -1;
  for (const Match* match : candidates) best = std::max(best, longest(*match));
  std::erase_if(candidates,
                [&](const Match* match) { return best < 0 || longest(*match) != best; });
}

FilterChains::Choice FilterChains::choose(const Vip& destination, Speaks speaks) const {
  Candidates candidates;
  const bool portIsNamed = std::any_of(matches_->begin(), matches_->end(), [&](const Match& match) {
    return match.destinationPort == destination.port;
  });
  for (const Match& match : *matches_) {
    if (match.destinationPort == (portIsNamed ? destination.port : 0)) candidates.push_back(&match);
  }
  keepLongestPrefix(candidates, destination);
  // A connect() sends no SNI.
  std::erase_if(candidates, [](const Match* match) { return !match->serverNames.front().empty(); });
  const bool rawIsNamed = std::any_of(candidates.begin(), candidates.end(), [](const Match* match) {
    return match->transportProtocol == kRawBuffer;
  });
  std::erase_if(candidates, [&](const Match* match) {
    return match->transportProtocol != (rawIsNamed ? kRawBuffer : std::string_view());
  });
  keepApplicationProtocol(candidates, speaks);
  if (candidates.empty()) {
    return fallBack("no filter chain matches a plain TCP connection to " + destination.toString());
  }
  for (const Match* match : candidates) {
    if (match->dependsOnSource()) {
      return {"", pathOf(match->index) + " depends on the source, which is not known in advance"};
    }
  }
  return {pathOf(candidates.front()->index), ""};
}

}  // namespace sockmesh
