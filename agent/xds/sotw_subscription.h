// One resource type on a state-of-the-world ADS stream: what is subscribed, which version is held,
// which nonce answers the server. It knows no stream: a delta subscription can take its place.
#pragma once

#include <string>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"

namespace sockmesh {

class SotwSubscription {
 public:
  enum class Mode {
    kWildcard,  // CDS, LDS: everything, by never naming anything
    kByName,    // EDS: the names given; silent until there is one
  };

  SotwSubscription(std::string_view typeUrl, Mode mode) : typeUrl_(typeUrl), mode_(mode) {}

  const std::string& typeUrl() const { return typeUrl_; }
  const std::string& version() const { return version_; }

  // The names wanted from now on, sorted and unique; only for kByName.
  void setNames(std::vector<std::string> names);

  // A new stream: nonces start over, the version held stays.
  void onStreamUp();

  // True once this stream carried a request of this type: only then are responses expected.
  bool requestedOnStream() const { return requested_; }

  // The latest response was taken or refused; takeRequest() then gives its ACK or NACK. An earlier
  // one that has not been taken is answered by it.
  void accept(const std::string& version, const std::string& nonce);
  void reject(const std::string& nonce, const std::string& message);

  // Not all of the version held is there any more: the server is asked as if none were.
  void forgetVersion() { version_.clear(); }

  // Whether the server has something to be told: a subscription, an ACK or a NACK.
  bool requestDue() const { return due_; }
  // The request that is due, with the full list of names (state of the world). Carries no node.
  envoy::service::discovery::v3::DiscoveryRequest takeRequest();

 private:
  bool nothingToAskFor() const { return mode_ == Mode::kByName && names_.empty(); }

  std::string typeUrl_;
  Mode mode_;
  std::vector<std::string> names_;
  std::string version_;  // of the last accepted response, over streams
  std::string nonce_;    // of the last response on this stream
  std::string nack_;     // message of a NACK that has yet to be sent
  bool rejected_ = false;
  bool requested_ = false;
  bool due_ = false;
};

}  // namespace sockmesh
