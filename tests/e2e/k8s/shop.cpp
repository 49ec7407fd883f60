// SPDX-License-Identifier: Apache-2.0
// The shop of `make e2e-k8s`: a server and its customers in one static program.
//
//   shop serve PORT           answers each HTTP request with the host's name. After SIGTERM it
//                             serves on for five seconds, as a server that is taken out of
//                             rotation should.
//   shop load IP PORT MILLIS  one request after the other, a connection each, MILLIS apart, until
//                             SIGTERM. Prints the totals once a second: "ok 123 failed 0".
//   shop refuse PORT SECONDS  makes the server of this pod refuse connections for some seconds
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

volatile std::sig_atomic_t asked_to_end = 0;

sockaddr_in addressOf(const char* ip, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) std::exit(64);
  return address;
}

int listenOn(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = addressOf("0.0.0.0", port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 1024) != 0) {
    std::perror("listen");
    std::exit(1);
  }
  return fd;
}

// A connection's request line, "" if none comes.
std::string requestOf(int fd) {
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  char text[2048];
  const ssize_t length = recv(fd, text, sizeof(text), 0);
  return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : "";
}

int serve(int port) {
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  const std::string body = std::string(host) + "\n";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n" + body;
  int listener = listenOn(port);
  Clock::time_point end = Clock::time_point::max();
  while (Clock::now() < end) {
    if (asked_to_end != 0 && end == Clock::time_point::max()) end = Clock::now() + seconds(5);
    pollfd waiting{.fd = listener, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, 100) <= 0) continue;
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const std::string request = requestOf(fd);
    if (!request.empty()) send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    requestOf(fd);  // until the client has closed
    close(fd);
    if (request.starts_with("GET /refuse/")) {
      close(listener);
      std::this_thread::sleep_for(
          seconds(std::atoi(request.c_str() + std::strlen("GET /refuse/"))));
      listener = listenOn(port);
    }
  }
  return 0;
}

// "" if it was answered.
std::string request(const sockaddr_in& to) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 3, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  std::string problem;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    problem = std::string("connect: ") + std::strerror(errno);
  } else {
    const char text[] = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";
    send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    if (!requestOf(fd).starts_with("HTTP/1.1 200")) problem = "no answer";
  }
  close(fd);
  return problem;
}

// Asks the server of this pod to refuse for some seconds.
int refuse(int port, const char* forSeconds) {
  const sockaddr_in to = addressOf("127.0.0.1", port);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) return 1;
  const std::string text = std::string("GET /refuse/") + forSeconds + " HTTP/1.1\r\n\r\n";
  send(fd, text.data(), text.size(), MSG_NOSIGNAL);
  requestOf(fd);
  close(fd);
  return 0;
}

int load(const char* ip, int port, milliseconds pause) {
  const sockaddr_in to = addressOf(ip, port);
  long ok = 0, failed = 0;
  Clock::time_point said = Clock::now();
  while (asked_to_end == 0) {
    const std::string problem = request(to);
    problem.empty() ? ++ok : ++failed;
    if (!problem.empty()) std::printf("problem: %s\n", problem.c_str());
    if (Clock::now() - said >= seconds(1)) {
      std::printf("ok %ld failed %ld\n", ok, failed);
      std::fflush(stdout);
      said = Clock::now();
    }
    std::this_thread::sleep_for(pause);
  }
  std::printf("ok %ld failed %ld\n", ok, failed);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  struct sigaction end {};
  end.sa_handler = [](int) { asked_to_end = 1; };
  sigaction(SIGTERM, &end, nullptr);
  sigaction(SIGINT, &end, nullptr);
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "serve" && argc == 3) return serve(std::atoi(argv[2]));
  if (mode == "load" && argc == 5) {
    return load(argv[2], std::atoi(argv[3]), milliseconds(std::atoi(argv[4])));
  }
  if (mode == "refuse" && argc == 4) return refuse(std::atoi(argv[2]), argv[3]);
  std::fprintf(stderr, "usage: shop serve PORT | load IP PORT MILLIS | refuse PORT SECONDS\n");
  return 64;
}
