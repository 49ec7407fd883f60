// SPDX-License-Identifier: Apache-2.0
#include "dns/ares_resolver.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <utility>

namespace sockmesh {
namespace {

constexpr const char* kResolvConf = "/etc/resolv.conf";

// Another text for each version of the file.
std::string versionOf(const char* path) {
  struct stat file {};
  if (stat(path, &file) != 0) return "";
  return std::to_string(file.st_ino) + " " + std::to_string(file.st_size) + " " +
         std::to_string(file.st_mtim.tv_sec) + "." + std::to_string(file.st_mtim.tv_nsec);
}

// The families to ask for, in this order.
std::vector<int> familiesOf(DnsFamily family) {
  switch (family) {
    case DnsFamily::kV4Only:
      return {AF_INET};
    case DnsFamily::kV6Only:
      return {AF_INET6};
    case DnsFamily::kAuto:
      return {AF_INET6, AF_INET};
    case DnsFamily::kV4Preferred:
    case DnsFamily::kAll:
      return {AF_INET, AF_INET6};
  }
  return {};
}

}  // namespace

struct AresResolver::Request {
  DnsQuestion question;
  std::function<void(DnsAnswer)> done;
  std::vector<int> families;  // still to ask for, the next one last
  std::vector<DnsAddress> addresses;
  std::string failure;  // of a family; "": none failed
};

AresResolver::AresResolver(EventLoop& loop, std::vector<SocketAddress> servers)
    : loop_(loop),
      servers_(std::move(servers)),
      resolvConf_(versionOf(kResolvConf)),
      self_(std::make_shared<AresResolver*>(this)) {}

AresResolver::~AresResolver() {
  *self_ = nullptr;
}

std::vector<SocketAddress> AresResolver::serversFor(const DnsResolverSettings& settings) const {
  if (!settings.serversAreFallback && !settings.servers.empty()) return settings.servers;
  if (!servers_.empty() || settings.servers.empty()) return servers_;
  return resolvConf_.empty() ? settings.servers : servers_;
}

// A channel reads resolv.conf once. One whose questions failed may have sockets of a network that
// is gone.
void AresResolver::renewChannels() {
  std::erase_if(retired_, [](const auto& channel) { return channel->open() == 0; });
  std::string version = versionOf(kResolvConf);
  const bool changed = std::exchange(resolvConf_, std::move(version)) != resolvConf_;
  for (auto one = channels_.begin(); one != channels_.end();) {
    if (!changed && !one->second->broken()) {
      ++one;
      continue;
    }
    retired_.push_back(std::move(one->second));
    one = channels_.erase(one);
  }
}

Result<AresChannel*> AresResolver::channelFor(const DnsResolverSettings& settings) {
  const auto known = channels_.find(settings);
  if (known != channels_.end()) return known->second.get();
  auto made = AresChannel::create(loop_, settings, serversFor(settings));
  if (!made) return made.error();
  return (channels_[settings] = std::move(made).value()).get();
}

// The question is put in a turn of its own, because c-ares may answer at once.
void AresResolver::resolve(const DnsQuestion& question, std::function<void(DnsAnswer)> done) {
  auto request = std::make_shared<Request>();
  request->question = question;
  request->done = std::move(done);
  const std::vector<int> families = familiesOf(question.family);
  request->families.assign(families.rbegin(), families.rend());
  loop_.post([self = self_, request] {
    if (*self == nullptr) return;
    (*self)->renewChannels();
    (*self)->askNext(request);
  });
}

void AresResolver::askNext(const RequestPtr& request) {
  const int family = request->families.back();
  request->families.pop_back();
  auto channel = channelFor(request->question.settings);
  if (!channel) return request->done(channel.error());
  // Answers come within calls of c-ares, in which no channel may be destroyed.
  (*channel)->ask(request->question.name, family, [this, request](DnsAnswer answer) {
    loop_.post([self = self_, request, answer = std::move(answer)]() mutable {
      if (*self != nullptr) (*self)->answered(request, std::move(answer));
    });
  });
}

void AresResolver::answered(const RequestPtr& request, DnsAnswer answer) {
  if (answer) {
    request->addresses.insert(request->addresses.end(), answer->begin(), answer->end());
  } else {
    request->failure = answer.error().message();
  }
  const bool all = request->question.family == DnsFamily::kAll;
  if (!request->families.empty() && (all || request->addresses.empty())) {
    return askNext(request);
  }
  // Without an address, a family that failed may have one.
  if (request->addresses.empty() && !request->failure.empty()) {
    return request->done(Error(request->failure));
  }
  request->done(std::move(request->addresses));
}

}  // namespace sockmesh
