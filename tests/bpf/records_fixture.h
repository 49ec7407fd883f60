// SPDX-License-Identifier: Apache-2.0
// Fixture of the tests of connection records: one backend that answers, and what every test asks at
// its end.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "support/datapath_test.h"
#include "support/eventually.h"

namespace sockmesh::test {

class RecordsTest : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    backend_ = at("127.0.0.2:0");
    listener_ = std::move(listenOn(backend_, backlog())).value();
  }
  // Of the listener. 0: two further connections fill the queue, and SYNs are dropped from then on.
  virtual int backlog() const { return 1024; }
  // Connections of all endpoints of the test.
  virtual std::uint32_t active() = 0;

  void expectNothingLeft() {
    EXPECT_TRUE(eventually([&] { return records() == 0 && active() == 0; }))
        << records() << " records, " << active() << " active";
    EXPECT_EQ(datapath_->maps().globals[0].conn_overflow_live, 0u);
  }

  // `first` is connected to the VIP. `second` is bound to the local address and port of `first`, so
  // that its connect() to the same endpoint fails after the hook: EADDRNOTAVAIL.
  static void shareOnePort(const UniqueFd& first, const UniqueFd& second,
                           const SocketAddress& vip) {
    const int one = 1;
    for (const UniqueFd* socket : {&first, &second}) {
      setsockopt(socket->get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    }
    ASSERT_EQ(bindErrno(first.get(), at("127.0.0.1:0")), 0);
    ASSERT_EQ(connectErrno(first.get(), vip), 0);
    ASSERT_EQ(bindErrno(second.get(), localOf(first.get())), 0);
  }

  SocketAddress backend_;
  UniqueFd listener_;
};

}  // namespace sockmesh::test
