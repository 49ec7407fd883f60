// SPDX-License-Identifier: Apache-2.0
#include "support/fake_api_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

namespace sockmesh::test {
namespace {

using Json = nlohmann::json;

Json metadataOf(const FakePod& pod, std::uint64_t version) {
  const std::size_t slash = pod.name.find('/');
  return {{"namespace", pod.name.substr(0, slash)},
          {"name", pod.name.substr(slash + 1)},
          {"uid", pod.uid},
          {"labels", pod.labels},
          {"annotations", pod.annotations},
          {"resourceVersion", std::to_string(version)}};
}

std::string statusText(int code, const std::string& message) {
  return Json({{"kind", "Status"}, {"code", code}, {"message", message}}).dump();
}

std::string decoded(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

FakeApiServer::Request parseRequest(const std::string& head) {
  FakeApiServer::Request request;
  std::istringstream lines(head);
  std::string line;
  std::getline(lines, line);
  const std::string target = line.substr(4, line.rfind(' ') - 4);
  request.path = target.substr(0, target.find('?'));
  std::istringstream query(
      target.size() > request.path.size() ? target.substr(request.path.size() + 1) : "");
  for (std::string one; std::getline(query, one, '&');) {
    const std::size_t equal = std::min(one.find('='), one.size());
    request.query[one.substr(0, equal)] = decoded(one.substr(std::min(equal + 1, one.size())));
  }
  while (std::getline(lines, line) && line != "\r") {
    const std::string value = line.substr(std::min(line.find(' ') + 1, line.size() - 1));
    if (line.starts_with("Authorization:"))
      request.authorization = value.substr(0, value.size() - 1);
    if (line.starts_with("Accept:")) request.accept = value.substr(0, value.size() - 1);
  }
  return request;
}

std::string nodeOf(const FakeApiServer::Request& request) {
  constexpr std::string_view kSelector = "spec.nodeName=";
  const auto found = request.query.find("fieldSelector");
  if (found == request.query.end() || !found->second.starts_with(kSelector)) return "?";
  return found->second.substr(kSelector.size());
}

std::uint64_t numberOf(const FakeApiServer::Request& request, const std::string& key) {
  const auto found = request.query.find(key);
  return found == request.query.end() ? 0 : std::strtoull(found->second.c_str(), nullptr, 10);
}

}  // namespace

// One client, until it or the server ends.
class FakeApiServer::Connection {
 public:
  Connection(FakeApiServer& server, UniqueFd fd, SSL_CTX* context)
      : server_(server), fd_(std::move(fd)), ssl_(SSL_new(context)) {
    SSL_set_fd(ssl_, fd_.get());
    thread_ = std::thread([this] { serve(); });
  }
  ~Connection() {
    thread_.join();
    SSL_free(ssl_);
  }
  void cut() const { shutdown(fd_.get(), SHUT_RDWR); }

 private:
  void serve() {
    if (SSL_accept(ssl_) != 1) return;
    while (readHead() && answer()) {
    }
    cut();
  }
  bool readHead() {
    head_.clear();
    std::array<char, 4096> buffer{};
    while (head_.find("\r\n\r\n") == std::string::npos) {
      const int got = SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()));
      if (got <= 0) return false;
      head_.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return true;
  }
  bool send(const std::string& text) {
    return SSL_write(ssl_, text.data(), static_cast<int>(text.size())) > 0;
  }
  bool sendWhole(int status, const std::string& body) {
    return send("HTTP/1.1 " + std::to_string(status) +
                " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  bool sendChunk(const std::string& text) {
    std::ostringstream size;
    size << std::hex << text.size();
    return send(size.str() + "\r\n" + text + "\r\n");
  }

  bool answer() {
    const Request request = parseRequest(head_);
    Fault fault = Fault::kNone;
    {
      const std::lock_guard lock(server_.mutex_);
      server_.requests_.push_back(request);
      fault = server_.fault_;
    }
    switch (fault) {
      case Fault::kUnavailable:
        return sendWhole(503, statusText(503, "the server is not ready"));
      case Fault::kForbidden:
        return sendWhole(403, statusText(403, "pods is forbidden"));
      case Fault::kGarbage:
        return sendWhole(200, "<html>not what was asked for</html>\n");
      case Fault::kHuge:
        return sendForEver();
      case Fault::kSilent:
        return waitForEnd();
      case Fault::kNone:
        break;
    }
    if (request.isWatch()) return watch(request);
    const auto [status, body] = server_.page(request);
    return sendWhole(status, body);
  }
  bool sendForEver() {
    const std::string piece(1 << 16, 'x');
    if (!send("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")) return false;
    while (sendChunk(piece)) {
    }
    return false;
  }
  bool waitForEnd() {
    std::unique_lock lock(server_.mutex_);
    server_.changed_.wait(lock,
                          [&] { return server_.stopping_ || server_.fault_ != Fault::kSilent; });
    return false;
  }

  bool watch(const Request& request) {
    const std::string node = nodeOf(request);
    std::uint64_t version = numberOf(request, "resourceVersion");
    std::unique_lock lock(server_.mutex_);
    const bool tooOld = version < server_.oldest_;
    const std::uint64_t endings = server_.endings_;
    ++server_.openWatches_;
    lock.unlock();
    bool open = send("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (tooOld) {
      open = sendChunk(R"({"type":"ERROR","object":)" + statusText(410, "too old") + "}\n");
    }
    lock.lock();
    while (open && !tooOld && !server_.stopping_ && endings == server_.endings_) {
      const auto next = std::ranges::find_if(server_.events_,
                                             [&](const Event& e) { return e.version > version; });
      if (next == server_.events_.end()) {
        server_.changed_.wait(lock);
        continue;
      }
      version = next->version;
      const Event event = *next;
      lock.unlock();
      if (event.node.empty() || event.node == node) open = sendChunk(event.line);
      lock.lock();
    }
    const std::string last = tooOld ? "" : server_.lastLine_;
    --server_.openWatches_;
    lock.unlock();
    if (!last.empty()) open = open && sendChunk(last);
    return open && send("0\r\n\r\n");
  }

  FakeApiServer& server_;
  UniqueFd fd_;
  SSL* ssl_;
  std::string head_;
  std::thread thread_;
};

FakeApiServer::FakeApiServer(const CertificateFiles& files)
    : files_(files), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  // A client that is gone is no reason to end.
  std::signal(SIGPIPE, SIG_IGN);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(listener_.get(), plain, length), 0);
  EXPECT_EQ(listen(listener_.get(), 64), 0);
  EXPECT_EQ(getsockname(listener_.get(), plain, &length), 0);
  address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  acceptor_ = std::thread([this] { acceptAll(); });
}

FakeApiServer::~FakeApiServer() {
  std::vector<std::unique_ptr<Connection>> connections;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& one : connections_) one->cut();
  }
  changed_.notify_all();
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    connections.swap(connections_);
  }
  for (const auto& one : connections) one->cut();
}

void FakeApiServer::acceptAll() {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context, files_.certificate.c_str()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context, files_.key.c_str(), SSL_FILETYPE_PEM), 1);
  while (true) {
    UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::lock_guard lock(mutex_);
    if (!client.valid() || stopping_) break;
    connections_.push_back(std::make_unique<Connection>(*this, std::move(client), context));
  }
  SSL_CTX_free(context);
}

void FakeApiServer::note(const FakePod& pod, const std::string& type) {
  const Json event = {{"type", type},
                      {"object", {{"kind", "Pod"}, {"metadata", metadataOf(pod, version_)}}}};
  events_.push_back({version_, pod.node, event.dump() + "\n"});
  changed_.notify_all();
}

void FakeApiServer::put(const FakePod& pod) {
  const std::lock_guard lock(mutex_);
  ++version_;
  note(pod, pods_.contains(pod.name) ? "MODIFIED" : "ADDED");
  pods_[pod.name] = pod;
}

void FakeApiServer::erase(const std::string& name) {
  const std::lock_guard lock(mutex_);
  ++version_;
  note(pods_.at(name), "DELETED");
  pods_.erase(name);
}

void FakeApiServer::bookmark() {
  const std::lock_guard lock(mutex_);
  ++version_;
  const Json metadata = {{"resourceVersion", std::to_string(version_)}};
  const Json event = {{"type", "BOOKMARK"}, {"object", {{"kind", "Pod"}, {"metadata", metadata}}}};
  events_.push_back({version_, "", event.dump() + "\n"});
  changed_.notify_all();
}

void FakeApiServer::compact() {
  const std::lock_guard lock(mutex_);
  oldest_ = ++version_;
  events_.clear();
}

void FakeApiServer::setFault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = fault;
  changed_.notify_all();
}

void FakeApiServer::endWatches(const std::string& line) {
  const std::lock_guard lock(mutex_);
  ++endings_;
  lastLine_ = line;
  changed_.notify_all();
}

std::vector<FakeApiServer::Request> FakeApiServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t FakeApiServer::lists() const {
  const auto all = requests();
  return static_cast<std::size_t>(
      std::ranges::count_if(all, [](const Request& one) { return !one.isWatch(); }));
}

std::size_t FakeApiServer::watches() const {
  return requests().size() - lists();
}

std::size_t FakeApiServer::openWatches() const {
  const std::lock_guard lock(mutex_);
  return openWatches_;
}

// A token of a page is "VERSION:NAME", NAME the last one of the page before.
std::pair<int, std::string> FakeApiServer::page(const Request& request) {
  const std::lock_guard lock(mutex_);
  std::string after;
  std::uint64_t version = version_;
  if (const auto token = request.query.find("continue"); token != request.query.end()) {
    version = std::strtoull(token->second.c_str(), nullptr, 10);
    after = token->second.substr(token->second.find(':') + 1);
    if (version < oldest_) return {410, statusText(410, "the continue parameter is too old")};
  }
  const std::uint64_t limit = std::max<std::uint64_t>(numberOf(request, "limit"), 1);
  Json items = Json::array();
  Json metadata = {{"resourceVersion", std::to_string(version)}};
  for (auto pod = pods_.upper_bound(after); pod != pods_.end(); ++pod) {
    if (pod->second.node != nodeOf(request)) continue;
    if (items.size() == limit) {
      metadata["continue"] = std::to_string(version) + ":" + after;
      break;
    }
    items.push_back({{"metadata", metadataOf(pod->second, version)}});
    after = pod->first;
  }
  return {200, Json({{"kind", "PodList"}, {"metadata", metadata}, {"items", items}}).dump()};
}

}  // namespace sockmesh::test
