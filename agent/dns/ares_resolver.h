// SPDX-License-Identifier: Apache-2.0
// A NameResolver that asks DNS servers by c-ares, in an event loop. It also reads /etc/hosts, as
// Envoy does. The loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "dns/ares_channel.h"
#include "dns/name_resolver.h"

namespace sockmesh {

class AresResolver final : public NameResolver {
 public:
  // `servers` are asked where a question names none; empty: those of /etc/resolv.conf, which is
  // read again when it was changed. `loop` outlives the resolver.
  AresResolver(EventLoop& loop, std::vector<SocketAddress> servers);
  ~AresResolver() override;

  void resolve(const DnsQuestion& question, std::function<void(DnsAnswer)> done) override;

 private:
  struct Request;
  using RequestPtr = std::shared_ptr<Request>;

  Result<AresChannel*> channelFor(const DnsResolverSettings& settings);
  std::vector<SocketAddress> serversFor(const DnsResolverSettings& settings) const;
  void renewChannels();
  void askNext(const RequestPtr& request);
  void answered(const RequestPtr& request, DnsAnswer answer);

  EventLoop& loop_;
  std::vector<SocketAddress> servers_;
  std::map<DnsResolverSettings, std::unique_ptr<AresChannel>> channels_;
  std::vector<std::unique_ptr<AresChannel>> retired_;  // until their questions are answered
  std::string resolvConf_;                             // the version that the channels have read
  std::shared_ptr<AresResolver*> self_;                // for posted tasks that outlive this
};

}  // namespace sockmesh
