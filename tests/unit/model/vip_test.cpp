// SPDX-License-Identifier: Apache-2.0
// VIPs as text, and what a range has.
#include "model/vip.h"

#include <gtest/gtest.h>

namespace sockmesh {
namespace {

Vip vip(const char* text) {
  return Vip::parse(text).value();
}

TEST(VipText, IsReadAsItIsWritten) {
  for (const char* text : {"10.0.0.1:80", "[2001:db8::1]:80", "10.1.0.0/16:80",
                           "[2001:db8::/32]:443", "128.0.0.0/1:1"}) {
    EXPECT_EQ(vip(text).toString(), text);
  }
  EXPECT_EQ(vip("10.1.0.0/16:80").hostText(), "10.1.0.0/16");
  EXPECT_EQ(vip("10.1.2.3/16:80").toString(), "10.1.0.0/16:80") << "its first address";
  EXPECT_EQ(vip("10.1.2.3/32:80"), vip("10.1.2.3:80")) << "one address is no range";
}

TEST(VipText, WhatIsNoPrefixIsAnError) {
  for (const char* text : {"10.1.0.0/33:80", "[fd00::/129]:80", "10.1.0.0/:80", "10.1.0.0/x:80",
                           "/16:80", "10.1.0.0/16"}) {
    EXPECT_FALSE(Vip::parse(text).ok()) << text;
  }
}

TEST(VipRange, HasTheAddressesThatBeginLikeIt) {
  const auto ip = [](const char* text) { return IpAddress::parse(text).value(); };
  EXPECT_TRUE(vip("10.1.0.0/16:80").contains(ip("10.1.255.255")));
  EXPECT_FALSE(vip("10.1.0.0/16:80").contains(ip("10.2.0.0")));
  EXPECT_TRUE(vip("[fd00::/9]:80").contains(ip("fd7f::1")));
  EXPECT_FALSE(vip("[::/1]:80").contains(ip("10.1.0.0"))) << "another family";
  EXPECT_TRUE(vip("10.1.0.0/16:80").contains(vip("10.1.2.0/24:80")));
  EXPECT_FALSE(vip("10.1.0.0/16:80").contains(vip("10.1.2.0/24:81")));
  EXPECT_FALSE(vip("10.1.2.0/24:80").contains(vip("10.1.0.0/16:80")));
}

}  // namespace
}  // namespace sockmesh
