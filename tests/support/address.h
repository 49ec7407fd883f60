// SPDX-License-Identifier: Apache-2.0
// Addresses from literals.
#pragma once

#include <string>

#include "model/address.h"

namespace sockmesh::test {

// "10.0.0.1:80" or "[2001:db8::1]:80"; aborts on anything else.
inline SocketAddress at(const std::string& text) {
  return SocketAddress::parse(text).value();
}

}  // namespace sockmesh::test
