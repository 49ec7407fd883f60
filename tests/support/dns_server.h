// SPDX-License-Identifier: Apache-2.0
// A real DNS server over UDP for tests, on loopback. It knows the names that the test tells it, and
// says that others do not exist.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "model/address.h"

namespace sockmesh::test {

class DnsServer {
 public:
  DnsServer();
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  const SocketAddress& address() const { return address_; }
  // The addresses of a name, of both families, in the order of the answer. None: the name exists
  // without an address.
  void set(const std::string& name, const std::vector<std::string>& addresses,
           std::uint32_t ttlSeconds = 0);
  // Questions for this name, or for all names, are answered with SERVFAIL.
  void fail(const std::string& name);
  void failAll(bool fails = true);
  // Questions of both families for this name so far.
  int asked(const std::string& name) const;

 private:
  struct Name {
    std::vector<IpAddress> addresses;
    std::uint32_t ttlSeconds = 0;
    bool fails = false;
  };
  void run();
  std::string answerTo(const std::string& question);

  UniqueFd socket_;
  SocketAddress address_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Name> names_;
  std::map<std::string, int> asked_;
  bool failsAll_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sockmesh::test
