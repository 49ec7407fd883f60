// SPDX-License-Identifier: Apache-2.0
// The control plane's side of a client under test: it does what the input says, then behaves. It
// checks each request of the client.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control_plane.h"
#include "fuzz_stream.h"
#include "script.h"
#include "store/update.h"

namespace sockmesh::fuzz {

class FuzzServer final : public FuzzStream::Server {
 public:
  explicit FuzzServer(Script& script) : script_(script) {}

  // One thing that a bad server, or a bad network, does.
  void misbehave();
  // From now on the server is a good one, that has this to say.
  void beginToBehave(const World& world);
  // One thing that a good server does. False: it has nothing to do.
  bool behave();

  bool hasStream() const { return stream_ != nullptr; }
  // Names of this type that the client is subscribed to.
  std::set<std::string> subscribed(std::string_view type) const;
  // All that was said was answered.
  void checkAnswered() const;

 private:
  // What a client may do with the responses of one nonce.
  struct Said {
    bool mayBeTaken = false;
    bool mayBeRefused = false;
  };
  // A type on the present stream.
  struct Type {
    bool requested = false;
    bool due = false;  // a good server has something to say
    std::set<std::string> names;
    std::map<std::string, std::string> held;  // by the client, with the version; delta
    std::set<std::string> unanswered;         // names that the client asked for; delta
    std::map<std::string, Said> said;         // by nonce
    std::string lastNonce;                    // delivered
    std::string answeredNonce;                // of the last request
    int delivered = 0;
    int answered = 0;
  };
  struct Response {
    std::string type{};
    std::vector<Sent> resources{};
    std::vector<std::string> removed{};
    Said said{};
    bool wrapped = false;
    std::optional<int> ttlSeconds{};
  };

  void onStream(FuzzStream& stream, bool delta) override;
  void onRequest(grpc::ByteBuffer request) override;
  void onRead() override;
  void onGone() override { stream_ = nullptr; }

  void onSotw(const envoy::service::discovery::v3::DiscoveryRequest& request);
  void onDelta(const envoy::service::discovery::v3::DeltaDiscoveryRequest& request);
  template <typename Request>
  static void checkAnswer(const Type& type, const Request& request);

  Response someResponse();
  Sent someResource(const std::string& type, Said& said);
  void sayRaw();
  Update pack(const Response& response, const std::string& nonce) const;
  std::string someNonce();
  void say(Update update, Said said);
  void saySome() {
    const Response one = someResponse();
    say(pack(one, someNonce()), one.said);
  }
  void delay();
  void repeat();
  void storm();
  void flood();
  void close(grpc::StatusCode code);
  void takeRequests();

  bool answer(const std::string& url, Type& type);
  Response whole(const std::string& url, const Type& type) const;
  Response changes(const std::string& url, Type& type) const;

  Script& script_;
  World world_;
  bool behaves_ = false;
  bool slow_ = false;  // does not read requests
  bool flooded_ = false;
  FuzzStream* stream_ = nullptr;
  bool delta_ = false;
  bool nodeSeen_ = false;
  std::map<std::string, Type> types_;  // of the present stream
  std::uint64_t nonces_ = 0;
  using Message = std::pair<Update, Said>;
  std::optional<Message> delayed_;
  std::optional<Message> last_;  // delivered
  int requests_ = 0;
  int causes_ = 0;  // why there may be requests
};

}  // namespace sockmesh::fuzz
