// SPDX-License-Identifier: Apache-2.0
#include "http_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "base/unique_fd.h"

namespace sockmesh::test {

HttpAnswer request(const SocketAddress& server, const std::string& method,
                   const std::string& target, const std::string& headers) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port);
  std::memcpy(&address.sin_addr, server.ip.bytes().data() + 12, 4);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return {};
  const std::string text = method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" +
                           (method == "POST" ? "Content-Length: 0\r\n" : "") + headers + "\r\n";
  if (send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return {};
  std::string received;
  std::array<char, 4096> chunk{};
  for (ssize_t n = 0; (n = recv(fd.get(), chunk.data(), chunk.size(), 0)) > 0;) {
    received.append(chunk.data(), static_cast<std::size_t>(n));
  }
  HttpAnswer answer;
  const std::size_t end = received.find("\r\n\r\n");
  if (end == std::string::npos || received.size() < 12) return answer;
  answer.status = std::atoi(received.substr(9, 3).c_str());
  answer.head = received.substr(0, end);
  answer.body = received.substr(end + 4);
  return answer;
}

}  // namespace sockmesh::test
