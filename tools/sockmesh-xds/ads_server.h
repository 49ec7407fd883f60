// SPDX-License-Identifier: Apache-2.0
// A state-of-the-world ADS server over a ResourceSet, for any number of clients.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ads_session.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "resource_set.h"
#include "server_stream.h"

namespace sockmesh {

class AdsServer {
 public:
  // One readable line for each stream opened or closed, ACK and NACK; called on the loop's thread.
  using Log = std::function<void(const std::string& line, bool problem)>;

  // Listens on `address` (HOST:PORT; port 0 lets the kernel choose). `loop` outlives the server and
  // runs all of its state.
  static Result<std::unique_ptr<AdsServer>> start(EventLoop& loop, const std::string& address,
                                                  std::shared_ptr<const ResourceSet> resources,
                                                  Log log);
  // On the loop's thread, or once it has stopped: ends all streams and frees the port.
  ~AdsServer();
  AdsServer(const AdsServer&) = delete;
  AdsServer& operator=(const AdsServer&) = delete;

  // The port listened on, host byte order.
  int port() const { return port_; }
  // On the loop's thread: clients get what differs from what they hold.
  void publish(std::shared_ptr<const ResourceSet> resources);

 private:
  class Service;
  struct Client {
    std::uint64_t number = 0;  // in the order of opening, for the log
    bool announced = false;
    std::unique_ptr<AdsSession> session;
  };

  AdsServer(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Log log);
  Status listen(const std::string& address);
  void onOpen(const std::shared_ptr<ServerStream>& stream);
  void onRequest(const std::shared_ptr<ServerStream>& stream, const ServerStream::Request& request);
  void onClosed(const std::shared_ptr<ServerStream>& stream);
  std::string describe(const Client& client) const;

  EventLoop& loop_;
  std::shared_ptr<const ResourceSet> resources_;
  Log log_;
  std::map<std::shared_ptr<ServerStream>, Client> clients_;
  std::uint64_t opened_ = 0;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // posted tasks hold it weakly
};

}  // namespace sockmesh
