// SPDX-License-Identifier: Apache-2.0
// A Kubernetes API server with pods alone: HTTPS, lists in pages, watches with bookmarks, versions
// that become too old, and faults on demand. Threads of its own; all functions from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "support/certificates.h"

namespace sockmesh::test {

struct FakePod {
  std::string name;  // "NAMESPACE/NAME"
  std::string uid;
  std::map<std::string, std::string> labels = {};
  std::map<std::string, std::string> annotations = {};
  std::string node = "node-1";
};

class FakeApiServer {
 public:
  enum class Fault : std::uint8_t {
    kNone,
    kUnavailable,  // HTTP 503
    kForbidden,    // HTTP 403
    kGarbage,      // 200, and no JSON
    kHuge,         // 200, and a body without an end
    kSilent,       // requests are read and never answered
  };
  struct Request {
    std::string path;  // without its query
    std::map<std::string, std::string> query;
    std::string authorization;
    std::string accept;
    bool isWatch() const { return query.contains("watch"); }
  };

  // Listens at once, on loopback.
  explicit FakeApiServer(const CertificateFiles& files);
  ~FakeApiServer();
  FakeApiServer(const FakeApiServer&) = delete;
  FakeApiServer& operator=(const FakeApiServer&) = delete;

  std::string address() const { return address_; }

  void put(const FakePod& pod);
  void erase(const std::string& name);
  // All watches get it.
  void bookmark();
  // Versions up to now are too old for a watch, and for the next page of a list.
  void compact();
  void setFault(Fault fault);
  // All watches get this line, and then the end.
  void endWatches(const std::string& line = "");

  std::vector<Request> requests() const;
  // How many lists or watches were asked for so far.
  std::size_t lists() const;
  std::size_t watches() const;
  std::size_t openWatches() const;

 private:
  struct Event {
    std::uint64_t version = 0;
    std::string node;  // "": for all
    std::string line;
  };
  class Connection;
  void acceptAll();
  void note(const FakePod& pod, const std::string& type);
  std::pair<int, std::string> page(const Request& request);

  CertificateFiles files_;
  std::string address_;
  UniqueFd listener_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool stopping_ = false;
  Fault fault_ = Fault::kNone;
  std::uint64_t version_ = 100;
  std::uint64_t oldest_ = 0;  // that a watch may begin at
  std::uint64_t endings_ = 0;
  std::string lastLine_;
  std::map<std::string, FakePod> pods_;
  std::vector<Event> events_;
  std::vector<Request> requests_;
  std::size_t openWatches_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::thread acceptor_;
};

}  // namespace sockmesh::test
