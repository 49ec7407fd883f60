// SPDX-License-Identifier: Apache-2.0
#include "base/host_port.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

std::string problemOf(const std::string& text) {
  const auto parsed = parseHostPort(text);
  return parsed ? "" : parsed.error().message();
}

TEST(HostPort, NamesAndAddresses) {
  for (const auto& [text, host, port] : std::vector<std::tuple<const char*, const char*, int>>{
           {"istiod.istio-system.svc:15010", "istiod.istio-system.svc", 15010},
           {"localhost:1", "localhost", 1},
           {"10.0.0.1:65535", "10.0.0.1", 65535},
           {"[fd00::1]:80", "fd00::1", 80},
           {"[fe80::1%eth0]:80", "fe80::1%eth0", 80}}) {
    const auto parsed = parseHostPort(text);
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->host, host);
    EXPECT_EQ(parsed->port, port);
  }
}

TEST(HostPort, AUrlIsAnsweredWithWhatToWrite) {
  EXPECT_EQ(problemOf("http://h:1"), R"("http://h:1" is a URL, HOST:PORT is wanted: write "h:1")");
  EXPECT_EQ(problemOf("grpc://h:1/path"),
            R"("grpc://h:1/path" is a URL, HOST:PORT is wanted: write "h:1")");
  EXPECT_EQ(problemOf("dns:///h:1"), R"("dns:///h:1" is a URL, HOST:PORT is wanted)");
}

TEST(HostPort, WhatIsWrongIsSaid) {
  EXPECT_EQ(problemOf("istiod"), R"("istiod" is not HOST:PORT: it has no port)");
  EXPECT_EQ(problemOf("fd00::1"), R"("fd00::1" is not HOST:PORT: an IPv6 address stands in )"
                                  R"(brackets, "[fd00::1]:PORT")");
  for (const char* port :
       {"h:", "h:0", "h:65536", "h:99999999999999999999", "h:80x", "h:-1", "h: 80", "h:80/"}) {
    EXPECT_EQ(problemOf(port), "\"" + std::string(port) +
                                   "\" is not HOST:PORT: the port is a number from 1 to 65535");
  }
  for (const char* host : {":80", "a b:80", "[h]:80", "fd00::1:x:80", "unix:/run/x:80", "a/b:80",
                           "[]:80", "user@h:80"}) {
    EXPECT_NE(problemOf(host).find("is not HOST:PORT: the host is a name"), std::string::npos)
        << host << ": " << problemOf(host);
  }
}

TEST(HostPort, PortZeroIsForWhoListens) {
  EXPECT_FALSE(parseHostPort("127.0.0.1:0"));
  EXPECT_EQ(parseHostPort("127.0.0.1:0", LowestPort::kAny)->port, 0);
}

}  // namespace
}  // namespace sockmesh
