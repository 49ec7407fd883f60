// SPDX-License-Identifier: Apache-2.0
#include "kube/api_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include "base/token_file.h"

namespace sockmesh {
namespace {

constexpr long kConnectSeconds = 10;
// A peer that is gone without a word is noticed after 30 + 3 * 10 seconds.
constexpr long kKeepaliveIdle = 30;
constexpr long kKeepaliveInterval = 10;
constexpr std::size_t kMaxErrorBody = 4096;
constexpr long kOk = 200;

using Headers =
    std::unique_ptr<curl_slist, decltype([](curl_slist* list) { curl_slist_free_all(list); })>;

Nanos now() {
  return SystemClock().monotonic();
}

template <typename... Options>
bool setAll(CURL* easy, Options... options) {
  return (... && (curl_easy_setopt(easy, options.first, options.second) == CURLE_OK));
}

}  // namespace

struct ApiClient::Handles {
  CURLM* multi = nullptr;
  CURL* easy = nullptr;
  ~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
};

// One request and its answer.
struct ApiClient::Exchange {
  const OnData& onData;
  const std::function<void()>& onOpen;
  CURL* easy = nullptr;
  Headers headers;
  std::array<char, CURL_ERROR_SIZE> problem{};
  Nanos heardAt{0};
  bool opened = false;
  std::string errorBody = {};
  std::optional<Error> refused = {};  // what onData said

  int status() const {
    long code = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    return static_cast<int>(code);
  }
  static std::size_t takeHeader(char*, std::size_t, std::size_t size, void* self) {
    static_cast<Exchange*>(self)->heardAt = now();
    return size;
  }
  static std::size_t takeBody(char* data, std::size_t, std::size_t size, void* self) {
    return static_cast<Exchange*>(self)->take({data, size}) ? size : 0;
  }
  bool take(std::string_view piece) {
    heardAt = now();
    if (status() != kOk) {
      errorBody += piece.substr(0, kMaxErrorBody - std::min(kMaxErrorBody, errorBody.size()));
      return true;
    }
    const Status taken = onData(piece);
    if (!taken) refused = taken.error();
    return taken.ok();
  }
};

ApiClient::ApiClient(ApiServer server, std::unique_ptr<Handles> handles)
    : server_(std::move(server)), handles_(std::move(handles)) {}

ApiClient::~ApiClient() = default;

Result<std::unique_ptr<ApiClient>> ApiClient::create(ApiServer server) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return Error("libcurl cannot be used");
  auto handles = std::make_unique<Handles>();
  handles->multi = curl_multi_init();
  handles->easy = curl_easy_init();
  if (handles->multi == nullptr || handles->easy == nullptr) return Error("libcurl: no memory");
  return std::unique_ptr<ApiClient>(new ApiClient(std::move(server), std::move(handles)));
}

Status ApiClient::prepare(const Request& request, Exchange& exchange) {
  const auto token = readToken(server_.tokenPath);
  if (!token) return token.error();
  CURL* easy = handles_->easy;
  curl_easy_reset(easy);
  for (const std::string& header :
       {"Authorization: Bearer " + *token, "Accept: " + request.accept}) {
    curl_slist* longer = curl_slist_append(exchange.headers.get(), header.c_str());
    if (longer == nullptr) return Error("libcurl: no memory");
    std::ignore = exchange.headers.release();
    exchange.headers.reset(longer);
  }
  const std::string url = "https://" + server_.address + request.path;
  using std::pair;
  // No proxy, as for the control plane. The authority's file is read for each connection.
  const bool set = setAll(
      easy, pair(CURLOPT_URL, url.c_str()), pair(CURLOPT_PROTOCOLS_STR, "https"),
      pair(CURLOPT_PROXY, ""), pair(CURLOPT_NOSIGNAL, 1L), pair(CURLOPT_USERAGENT, "sockmeshd"),
      pair(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1)),
      pair(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2)),
      pair(CURLOPT_CAINFO, server_.rootPath.c_str()), pair(CURLOPT_CA_CACHE_TIMEOUT, 0L),
      pair(CURLOPT_CAPATH, static_cast<const char*>(nullptr)),
      pair(CURLOPT_CONNECTTIMEOUT, kConnectSeconds), pair(CURLOPT_TCP_KEEPALIVE, 1L),
      pair(CURLOPT_TCP_KEEPIDLE, kKeepaliveIdle), pair(CURLOPT_TCP_KEEPINTVL, kKeepaliveInterval),
      pair(CURLOPT_HTTPHEADER, exchange.headers.get()),
      pair(CURLOPT_ERRORBUFFER, exchange.problem.data()),
      pair(CURLOPT_HEADERFUNCTION, &Exchange::takeHeader), pair(CURLOPT_HEADERDATA, &exchange),
      pair(CURLOPT_WRITEFUNCTION, &Exchange::takeBody), pair(CURLOPT_WRITEDATA, &exchange));
  return set ? Status() : Status(Error("libcurl lacks an option that is needed"));
}

// Until the transfer has ended, in whatever way.
Status ApiClient::perform(const Request& request, Exchange& exchange) {
  int running = 1;
  exchange.heardAt = now();
  while (true) {
    if (stopped_) return Error("stopped");
    if (curl_multi_perform(handles_->multi, &running) != CURLM_OK) return Error("libcurl failed");
    if (!exchange.opened && exchange.status() == kOk) {
      exchange.opened = true;
      if (exchange.onOpen) exchange.onOpen();
    }
    if (running == 0) break;
    const Nanos left = exchange.heardAt + request.silence - now();
    if (left <= Nanos(0)) return Error("the API server was silent for too long");
    const auto millis = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    curl_multi_poll(handles_->multi, nullptr, 0,
                    static_cast<int>(std::min<std::int64_t>(millis, 60'000)), nullptr);
  }
  int queued = 0;
  const CURLMsg* message = curl_multi_info_read(handles_->multi, &queued);
  const CURLcode code = message == nullptr ? CURLE_RECV_ERROR : message->data.result;
  if (exchange.refused) return *exchange.refused;
  if (code == CURLE_OK) return {};
  const char* said = exchange.problem[0] != 0 ? exchange.problem.data() : curl_easy_strerror(code);
  return Error(said);
}

Result<ApiClient::Answer> ApiClient::get(const Request& request, const OnData& onData,
                                         const std::function<void()>& onOpen) {
  Exchange exchange{.onData = onData, .onOpen = onOpen, .easy = handles_->easy, .headers = {}};
  if (const Status ready = prepare(request, exchange); !ready) return ready.error();
  if (curl_multi_add_handle(handles_->multi, handles_->easy) != CURLM_OK) {
    return Error("libcurl failed");
  }
  const Status done = perform(request, exchange);
  const int status = exchange.status();
  curl_multi_remove_handle(handles_->multi, handles_->easy);
  curl_easy_reset(handles_->easy);
  if (!done) return done.error();
  return Answer{status, std::move(exchange.errorBody)};
}

void ApiClient::stop() {
  stopped_ = true;
  curl_multi_wakeup(handles_->multi);
}

std::string queryEscaped(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (plain) {
      out += c;
    } else {
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

}  // namespace sockmesh
