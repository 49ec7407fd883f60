// SPDX-License-Identifier: Apache-2.0
// Which filter chain of a listener a connect() meets: docs/envoy.md 7.2, for a client that sends no
// TLS, and whose source is not known in advance. A plain value: the message is not needed any more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "decode/field_errors.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "model/vip.h"

namespace sockmesh {

class FilterChains {
 public:
  // Reads the matches of the chains of `proto`. What Envoy refuses (also two chains that match the
  // same connections) goes to `errors`, which is at the listener's path.
  FilterChains(const envoy::config::listener::v3::Listener& proto, FieldErrors& errors);

  // What a client says first. A listener filter may look at it.
  enum class Speaks : std::uint8_t {
    kUnknown,  // what no application protocol is known of
    kHttp,     // HTTP/1.1; where no chain names it, HTTP/2 without TLS
  };

  struct Choice {
    std::string path;  // "filter_chains[2]"; empty: none for sure
    std::string whyNone;
  };
  // Of a range: what the addresses meet that no longer range has.
  Choice choose(const Vip& destination, Speaks speaks = Speaks::kUnknown) const;

  // A destination range that a chain names, with the chain's destination port (0: any).
  struct Range {
    IpAddress address;    // the first one
    unsigned length = 0;  // bits of the address, up to 32 or 128
    std::uint16_t port = 0;
    Vip at(std::uint16_t atPort) const;  // these addresses at that port
    std::string toString() const;        // "10.0.0.0/16"
    auto operator<=>(const Range&) const = default;
  };
  // All of them, each once, in order.
  std::vector<Range> ranges() const;
  // The destination port that the chain at `path` names; 0: none.
  std::uint16_t portOf(const std::string& path) const;

 private:
  struct Prefix {
    bool any = true;  // no range was given: every address
    IpAddress address;
    unsigned length = 0;  // bits of the 128
    auto operator<=>(const Prefix&) const = default;
    bool contains(const Vip& vip) const;
  };

  // A chain's criteria, each sorted. A criterion that is not set holds one empty value.
  struct Match {
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

    bool operator==(const Match&) const = default;
    bool overlaps(const Match& other) const;
    bool dependsOnSource() const;
  };
  using Matches = std::vector<Match>;
  using Candidates = std::vector<const Match*>;

  static Match decodeMatch(const envoy::config::listener::v3::FilterChain& chain, std::size_t index,
                           FieldErrors& errors);
  static std::vector<Prefix> decodePrefixes(
      const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& ranges,
      std::string_view field, FieldErrors& errors);
  static void refuseOverlaps(const Matches& matches, FieldErrors& errors);
  static void keepLongestPrefix(Candidates& candidates, const Vip& vip);
  static void keepApplicationProtocol(Candidates& candidates, Speaks speaks);
  Choice fallBack(const std::string& whyNone) const;

  // Most listeners have one chain for everything: these share its criteria.
  static const std::shared_ptr<const Matches>& oneForAll();

  bool hasDefault_ = false;
  std::shared_ptr<const Matches> matches_;  // never null
};

}  // namespace sockmesh
