// SPDX-License-Identifier: Apache-2.0
#include "admin/http_message.h"

#include <algorithm>
#include <cctype>

namespace sockmesh {
namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";

const char* reasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Percent-decoding. An incomplete escape stays as it is. In a form '+' is a blank.
std::string decode(std::string_view text, bool form) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && hexDigit(text[i + 1]) >= 0 &&
                        hexDigit(text[i + 2]) >= 0;
    if (escape) {
      out += static_cast<char>(hexDigit(text[i + 1]) * 16 + hexDigit(text[i + 2]));
      i += 2;
    } else {
      out += form && text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> parseQuery(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    parameters.emplace_back(
        decode(part.substr(0, equals), true),
        equals == std::string_view::npos ? "" : decode(part.substr(equals + 1), true));
  }
  return parameters;
}

bool sameIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

// "[::1]:15077" -> "::1", "localhost:80" -> "localhost".
std::string_view withoutPort(std::string_view host) {
  if (const std::size_t end = host.find(']'); host.starts_with('[') && end != host.npos) {
    return host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

ParsedRequest refused(int status, std::string body) {
  return {{}, textResponse(status, std::move(body))};
}

// "GET /status?x=1 HTTP/1.1". Empty: well formed.
std::optional<HttpResponse> parseRequestLine(std::string_view line, HttpRequest& out) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last == first) {
    return textResponse(400, "not an HTTP request\n");
  }
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return textResponse(505, "HTTP/1.1 and HTTP/1.0 only\n");
  }
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (!target.starts_with('/') || target.find(' ') != std::string_view::npos) {
    return textResponse(400, "the target of a request begins with a slash\n");
  }
  const std::size_t question = target.find('?');
  out.method = line.substr(0, first);
  out.path = decode(target.substr(0, question), false);
  if (question != std::string_view::npos) out.parameters = parseQuery(target.substr(question + 1));
  return std::nullopt;
}

}  // namespace

HttpResponse textResponse(int status, std::string body) {
  return {status, "text/plain; charset=utf-8", std::move(body)};
}

std::size_t headEnd(std::string_view received) {
  const std::size_t at = received.find(kEndOfHead);
  return at == std::string_view::npos ? at : at + kEndOfHead.size();
}

ParsedRequest parseRequest(std::string_view head) {
  ParsedRequest parsed;
  std::size_t end = head.find("\r\n");
  parsed.refusal = parseRequestLine(head.substr(0, end), parsed.request);
  if (parsed.refusal) return parsed;
  bool hasHost = false;
  for (head.remove_prefix(end + 2); !head.starts_with("\r\n"); head.remove_prefix(end + 2)) {
    end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    const std::size_t colon = line.find(':');
    if (end == std::string_view::npos || colon == std::string_view::npos || colon == 0) {
      return refused(400, "not an HTTP header\n");
    }
    const std::string_view name = line.substr(0, colon);
    if (sameIgnoringCase(name, "Origin")) parsed.request.fromBrowserPage = true;
    if (!sameIgnoringCase(name, "Host")) continue;
    if (hasHost) return refused(400, "more than one Host\n");
    hasHost = true;
    parsed.request.host = withoutPort(trimmed(line.substr(colon + 1)));
  }
  return parsed;
}

std::string serialize(const HttpResponse& response, bool withBody) {
  std::string bytes = "HTTP/1.1 " + std::to_string(response.status) + " " +
                      reasonOf(response.status) + "\r\nContent-Type: " + response.contentType +
                      "\r\nContent-Length: " + std::to_string(response.body.size()) +
                      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                      "Connection: close\r\n";
  if (!response.allow.empty()) bytes += "Allow: " + response.allow + "\r\n";
  bytes += "\r\n";
  if (withBody) bytes += response.body;
  return bytes;
}

}  // namespace sockmesh
