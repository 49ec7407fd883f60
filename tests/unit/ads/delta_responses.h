// SPDX-License-Identifier: Apache-2.0
// Responses of the delta protocol in few words, and a client and a server that speak it.
#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "ads_client_fixture.h"

namespace sockmesh::testing {

template <typename... Messages>
DeltaResponse deltaResponse(std::string_view type, const std::string& nonce,
                            const std::vector<std::string>& removed, const Messages&... messages) {
  DeltaResponse made;
  made.set_type_url(std::string(type));
  made.set_nonce(nonce);
  for (const std::string& name : removed) made.add_removed_resources(name);
  [[maybe_unused]] const auto add = [&made]<typename Message>(const Message& message) {
    auto* resource = made.add_resources();
    if constexpr (std::is_same_v<Message, ClusterLoadAssignment>) {
      resource->set_name(message.cluster_name());
    } else {
      resource->set_name(message.name());
    }
    resource->set_version("v" + made.nonce());
    resource->mutable_resource()->PackFrom(message);
  };
  (add(messages), ...);
  return made;
}

inline std::vector<std::string> addedNames(const DeltaRequest& request) {
  return {request.resource_names_subscribe().begin(), request.resource_names_subscribe().end()};
}
inline std::vector<std::string> droppedNames(const DeltaRequest& request) {
  return {request.resource_names_unsubscribe().begin(), request.resource_names_unsubscribe().end()};
}

// A client that speaks delta, and a server that does, too.
class DeltaClientTest : public AdsClientTest {
 protected:
  DeltaClientTest() {
    options_.protocol = &deltaProtocol();
    options_.fallback = &sotwProtocol();
    server_.speakDelta(true);
  }

  // Starts the client. Its first stream; null, and a failed test, where none comes.
  std::shared_ptr<ScriptedAdsServer::DeltaStream> connect() {
    startClient(server_.address());
    auto stream = server_.deltaStream();
    EXPECT_TRUE(stream) << "no stream came";
    return stream;
  }

  // A stream where cluster "a" with its endpoints and no listener are accepted.
  void bringUpDelta(ScriptedAdsServer::DeltaStream& stream) {
    EXPECT_EQ(stream.request().type_url(), kClusterType);
    stream.send(deltaResponse(kClusterType, "1", {}, edsCluster("a")));
    EXPECT_EQ(stream.request().response_nonce(), "1");
    EXPECT_THAT(addedNames(stream.request()), ::testing::ElementsAre("a"));
    EXPECT_EQ(stream.request().type_url(), kListenerType);
    stream.send(deltaResponse(kAssignmentType, "2", {}, assignment("a", 80)));
    EXPECT_EQ(stream.request().response_nonce(), "2");
    stream.send(deltaResponse(kListenerType, "3", {}));
    EXPECT_EQ(stream.request().response_nonce(), "3");
  }

  ScriptedAdsServer server_;
};

}  // namespace sockmesh::testing
