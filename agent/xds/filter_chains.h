// SPDX-License-Identifier: Apache-2.0
// Which filter chain of a listener a connect() meets: docs/envoy.md 7.2, for a client that is
// known to send no TLS and no ALPN, and whose source is not known in advance.
#pragma once

#include <string>
#include <vector>

#include "envoy/config/listener/v3/listener.pb.h"
#include "model/address.h"
#include "xds/field_errors.h"

namespace sockmesh {

class FilterChains {
 public:
  // Reads the matches of the chains of `proto`. `proto` must outlive this object. What Envoy
  // refuses (also two chains that match the same connections) goes to `errors`, which is at the
  // listener's path.
  FilterChains(const envoy::config::listener::v3::Listener& proto, FieldErrors& errors);

  struct Choice {
    const envoy::config::listener::v3::FilterChain* chain = nullptr;  // null: none for sure
    std::string path;                                                 // "filter_chains[2]"
    std::string whyNone;
  };
  Choice choose(const SocketAddress& destination) const;

 private:
  struct Prefix {
    bool any = true;  // no range was given: every address
    IpAddress address;
    unsigned length = 0;  // bits of the 128
    auto operator<=>(const Prefix&) const = default;
    bool contains(const IpAddress& ip) const;
  };

  // A chain's criteria, each sorted. A criterion that is not set holds one empty value.
  struct Match {
    const envoy::config::listener::v3::FilterChain* chain = nullptr;
    std::size_t index = 0;
    std::uint32_t destinationPort = 0;  // 0: any
    std::vector<Prefix> prefixes;
    std::vector<std::string> serverNames;
    std::string transportProtocol;
    std::vector<std::string> applicationProtocols;
    std::vector<Prefix> directSourcePrefixes;
    int sourceType = 0;
    std::vector<Prefix> sourcePrefixes;
    std::vector<std::uint32_t> sourcePorts;

    bool overlaps(const Match& other) const;
    bool dependsOnSource() const;
  };
  using Candidates = std::vector<const Match*>;

  static Match decodeMatch(const envoy::config::listener::v3::FilterChain& chain, std::size_t index,
                           FieldErrors& errors);
  static std::vector<Prefix> decodePrefixes(
      const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& ranges,
      std::string_view field, FieldErrors& errors);
  void refuseOverlaps(FieldErrors& errors) const;
  static void keepLongestPrefix(Candidates& candidates, const IpAddress& ip);
  Choice fallBack(const std::string& whyNone) const;

  const envoy::config::listener::v3::Listener& listener_;
  std::vector<Match> matches_;
};

}  // namespace sockmesh
