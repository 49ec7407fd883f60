// SPDX-License-Identifier: Apache-2.0
#include "http_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace sockmesh::test {

UniqueFd connectTo(const SocketAddress& server) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server.port);
  std::memcpy(&address.sin_addr, server.ip.bytes().data() + 12, 4);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return {};
  }
  return fd;
}

UniqueFd connectTo(const std::string& socketPath) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socketPath.c_str(), sizeof(address.sun_path) - 1);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return {};
  }
  return fd;
}

bool sendText(const UniqueFd& connection, const std::string& text) {
  return send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(text.size());
}

HttpAnswer readAnswer(const UniqueFd& connection) {
  std::string received;
  std::array<char, 4096> chunk{};
  for (ssize_t n = 0; (n = recv(connection.get(), chunk.data(), chunk.size(), 0)) > 0;) {
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

HttpAnswer request(const UniqueFd& connection, const std::string& method, const std::string& target,
                   const std::string& headers) {
  const std::string length = method == "POST" ? "Content-Length: 0\r\n" : "";
  if (!sendText(connection, method + " " + target + " HTTP/1.1\r\n" + length + headers + "\r\n")) {
    return {};
  }
  return readAnswer(connection);
}

}  // namespace sockmesh::test
