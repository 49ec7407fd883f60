// SPDX-License-Identifier: Apache-2.0
#include "support/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <optional>

namespace sockmesh::test {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint16_t kTypeA = 1;
constexpr std::uint16_t kTypeAaaa = 28;
constexpr std::uint16_t kServerFailure = 2;
constexpr std::uint16_t kNoSuchName = 3;

void put16(std::string& text, std::uint32_t number) {
  text += static_cast<char>(number >> 8 & 0xff);
  text += static_cast<char>(number & 0xff);
}

std::uint16_t get16(const std::string& text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  return static_cast<std::uint16_t>(byte(at) << 8 | byte(at + 1));
}

struct Question {
  std::string name;
  std::uint16_t type = 0;
  std::size_t end = 0;  // behind the question
};

std::optional<Question> parse(const std::string& text) {
  Question question;
  std::size_t at = kHeader;
  while (at < text.size() && text[at] != 0) {
    const auto length = static_cast<std::uint8_t>(text[at]);
    if (at + 1 + length >= text.size()) return std::nullopt;
    if (!question.name.empty()) question.name += '.';
    question.name += text.substr(at + 1, length);
    at += 1 + length;
  }
  if (at + 5 > text.size()) return std::nullopt;
  question.type = get16(text, at + 1);
  question.end = at + 5;
  return question;
}

std::string recordOf(const IpAddress& ip, std::uint32_t ttlSeconds) {
  std::string record("\xc0\x0c", 2);  // the name of the question
  put16(record, ip.isV4() ? kTypeA : kTypeAaaa);
  put16(record, 1);  // IN
  put16(record, ttlSeconds >> 16);
  put16(record, ttlSeconds & 0xffff);
  const std::size_t size = ip.isV4() ? 4 : 16;
  put16(record, static_cast<std::uint32_t>(size));
  record.append(reinterpret_cast<const char*>(ip.bytes().data()) + 16 - size, size);
  return record;
}

}  // namespace

DnsServer::DnsServer() : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(name);
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&name), size) != 0 ||
      getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    std::abort();
  }
  address_ = {IpAddress::v4({127, 0, 0, 1}), ntohs(name.sin_port)};
  thread_ = std::thread([this] { run(); });
}

DnsServer::~DnsServer() {
  // Ends recvfrom(), with a length of 0.
  shutdown(socket_.get(), SHUT_RDWR);
  thread_.join();
}

void DnsServer::set(const std::string& name, const std::vector<std::string>& addresses,
                    std::uint32_t ttlSeconds) {
  const std::lock_guard lock(mutex_);
  Name& one = names_[name];
  one = {{}, ttlSeconds, false};
  for (const std::string& text : addresses) one.addresses.push_back(*IpAddress::parse(text));
}

void DnsServer::fail(const std::string& name) {
  const std::lock_guard lock(mutex_);
  names_[name].fails = true;
}

void DnsServer::failAll(bool fails) {
  const std::lock_guard lock(mutex_);
  failsAll_ = fails;
}

int DnsServer::asked(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = asked_.find(name);
  return found == asked_.end() ? 0 : found->second;
}

void DnsServer::run() {
  std::array<char, 2048> buffer{};
  while (true) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    const ssize_t got = recvfrom(socket_.get(), buffer.data(), buffer.size(), 0,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= 0) return;
    const std::string answer = answerTo({buffer.data(), static_cast<std::size_t>(got)});
    sendto(socket_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from),
           size);
  }
}

std::string DnsServer::answerTo(const std::string& question) {
  const auto asked = parse(question);
  if (!asked) return "";
  const std::lock_guard lock(mutex_);
  ++asked_[asked->name];
  const auto found = names_.find(asked->name);
  const bool fails = failsAll_ || (found != names_.end() && found->second.fails);
  std::string records;
  std::uint32_t count = 0;
  if (!fails && found != names_.end()) {
    for (const IpAddress& ip : found->second.addresses) {
      if (asked->type != (ip.isV4() ? kTypeA : kTypeAaaa)) continue;
      records += recordOf(ip, found->second.ttlSeconds);
      ++count;
    }
  }
  const std::uint16_t code = fails ? kServerFailure : found == names_.end() ? kNoSuchName : 0;
  std::string answer = question.substr(0, 2);
  put16(answer, 0x8580U | code);
  put16(answer, 1);
  put16(answer, count);
  put16(answer, 0);
  put16(answer, 0);
  return answer + question.substr(kHeader, asked->end - kHeader) + records;
}

}  // namespace sockmesh::test
