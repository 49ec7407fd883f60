// SPDX-License-Identifier: Apache-2.0
// An ADS server over a ResourceSet, for any number of clients, in both protocols.
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

  struct Listen {
    std::string address;  // HOST:PORT; port 0 lets the kernel choose
    std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  };

  // `loop` outlives the server and runs all of its state.
  static Result<std::unique_ptr<AdsServer>> start(EventLoop& loop, const Listen& listen,
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
    std::function<void(grpc::Status)> finish;  // ends the stream
  };
  template <typename Session>
  using Stream = ServerStream<typename Session::Request, typename Session::Response>;

  AdsServer(EventLoop& loop, std::shared_ptr<const ResourceSet> resources, Log log);
  Status listen(const Listen& listen);
  template <typename Session>
  void onOpen(const std::shared_ptr<Stream<Session>>& stream);
  template <typename Session>
  void onRequest(const std::shared_ptr<Stream<Session>>& stream,
                 const typename Session::Request& request);
  void onClosed(const std::shared_ptr<void>& stream);
  std::string describe(const Client& client) const;

  EventLoop& loop_;
  std::shared_ptr<const ResourceSet> resources_;
  Log log_;
  std::map<std::shared_ptr<void>, Client> clients_;  // by stream
  std::uint64_t opened_ = 0;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // posted tasks hold it weakly
};

}  // namespace sockmesh
