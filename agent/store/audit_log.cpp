// SPDX-License-Identifier: Apache-2.0
#include "store/audit_log.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/rotated_file.h"
#include "store/message_diff.h"

namespace sockmesh {
namespace {

using Json = nlohmann::ordered_json;

// Of records that a slow disk makes wait. What comes then is joined with the last of them.
constexpr std::size_t kMostWaiting = std::size_t{64} << 20U;
// Of the changes of one line.
constexpr std::size_t kMostLine = std::size_t{1} << 20U;
constexpr std::size_t kMostErrors = 100;
constexpr std::size_t kMostReason = 1000;

// RFC 3339, UTC, with milliseconds.
std::string timeText(Nanos sinceEpoch) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(sinceEpoch);
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(sinceEpoch - seconds);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(static_cast<std::time_t>(seconds.count())), millis.count());
}

// The id of the last line of a file; 0 where there is none.
std::uint64_t lastId(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t id = 0;
  for (std::string line; std::getline(file, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.contains("id") && json["id"].is_number_unsigned()) {
      id = json["id"].get<std::uint64_t>();
    }
  }
  return id;
}

Json textOrNull(const std::optional<std::string>& text) {
  return text ? Json(*text) : Json(nullptr);
}

Json errorsJson(const std::vector<RejectedResource>& errors) {
  Json json = Json::array();
  for (std::size_t i = 0; i < errors.size() && i < kMostErrors; ++i) {
    json.push_back({{"name", errors[i].name}, {"reason", errors[i].reason.substr(0, kMostReason)}});
  }
  return json;
}

std::size_t sizeOf(const Json& change) {
  std::size_t size = 100 + change["name"].get_ref<const std::string&>().size();
  if (!change.contains("fields")) return size;
  for (const Json& field : change["fields"]) {
    for (const char* part : {"path", "from", "to"}) {
      if (field[part].is_string()) size += 20 + field[part].get_ref<const std::string&>().size();
    }
  }
  return size;
}

}  // namespace

// Everything that the log's thread has for itself.
class AuditLog::Writer {
 public:
  explicit Writer(const AuditOptions& options)
      : file_(options.path, options.maxBytes, options.maxFiles),
        mostLine_(std::min<std::size_t>(kMostLine, options.maxBytes / 2)) {
    for (std::uint32_t i = 0; i < options.maxFiles && id_ == 0; ++i) {
      id_ = lastId(RotatedFile::pathOf(options.path, i));
    }
  }

  Status write(Record record) {
    Json line = {{"id", id_ + 1},          {"time", timeText(record.at)}, {"server", record.server},
                 {"type", record.type},    {"version", record.version},   {"nonce", record.nonce},
                 {"result", record.result}};
    if (!record.errors.empty()) line["errors"] = errorsJson(record.errors);
    addChanges(record, line);
    if (record.missed + lost_ > 0) line["missed"] = record.missed + lost_;
    ++id_;
    const auto written = file_.append(line.dump(-1, ' ', false, Json::error_handler_t::replace));
    lost_ = written ? 0 : lost_ + 1 + record.missed;
    return written;
  }

 private:
  void addChanges(Record& record, Json& line) {
    Json changes = Json::array();
    std::size_t size = 0, more = 0;
    for (auto& [key, content] : record.contents) {
      std::optional<Json> change = take(key, std::move(content), record.listed && size < mostLine_);
      if (!record.listed || !change) continue;
      if (size >= mostLine_) {
        ++more;
        continue;
      }
      size += sizeOf(*change);
      changes.push_back(*std::move(change));
    }
    line["changes"] = std::move(changes);
    if (more > 0) line["moreChanges"] = more;
  }

  // Keeps the content, and says what is new about it. Without `compared` the fields are left out.
  std::optional<Json> take(const ResourceKey& key, std::optional<std::string> content,
                           bool compared) {
    const auto known = known_.find(key);
    Json change = {{"type", key.type->shortName}, {"name", key.name}, {"change", "added"}};
    if (!content) {
      if (known == known_.end()) return std::nullopt;
      known_.erase(known);
      change["change"] = "removed";
    } else if (known == known_.end()) {
      known_.emplace(key, *std::move(content));
    } else if (known->second == *content) {
      return std::nullopt;
    } else {
      change["change"] = "changed";
      if (compared) addFields(*key.type, known->second, *content, change);
      known->second = *std::move(content);
    }
    return change;
  }

  static void addFields(const ResourceType& type, const std::string& before,
                        const std::string& after, Json& change) {
    const std::unique_ptr<google::protobuf::Message> from(type.prototype->New());
    const std::unique_ptr<google::protobuf::Message> to(type.prototype->New());
    // They were parsed when they came.
    if (!from->ParsePartialFromString(before) || !to->ParsePartialFromString(after)) return;
    const MessageDiff diff = diffMessages(*from, *to);
    Json fields = Json::array();
    for (const FieldChange& field : diff.fields) {
      fields.push_back(
          {{"path", field.path}, {"from", textOrNull(field.from)}, {"to", textOrNull(field.to)}});
    }
    change["fields"] = std::move(fields);
    if (diff.more > 0) change["moreFields"] = diff.more;
  }

  RotatedFile file_;
  std::size_t mostLine_;
  std::uint64_t id_ = 0;    // of the last line
  std::uint64_t lost_ = 0;  // records since the last line that could be written
  std::map<ResourceKey, std::string> known_;
};

std::size_t AuditLog::Record::bytes() const {
  std::size_t bytes = 200;
  for (const auto& [key, content] : contents) {
    bytes += 100 + key.name.size() + (content ? content->size() : 0);
  }
  for (const RejectedResource& error : errors) bytes += error.name.size() + error.reason.size();
  return bytes;
}

AuditLog::AuditLog(ResourceStore& store, AuditOptions options, OnResult onResult)
    : store_(store), options_(std::move(options)), onResult_(std::move(onResult)) {
  thread_ = std::thread([this] { run(); });
  store_.observe(*this);
}

AuditLog::~AuditLog() {
  store_.unobserve(*this);
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    noted_.notify_all();
  }
  thread_.join();
}

void AuditLog::answered(const ResourceType& type, const Update& update, const ApplyResult& result,
                        const std::string& server) {
  Record record;
  record.result = result.ok() ? "accepted" : "rejected";
  record.server = server;
  record.type = type.shortName;
  record.version = update.version;
  record.nonce = update.nonce;
  record.errors = result.rejected;
  note(std::move(record));
}

void AuditLog::expired(const ResourceType& type) {
  Record record;
  record.result = "expired";
  record.type = type.shortName;
  note(std::move(record));
}

void AuditLog::begun(bool restored) {
  Record record;
  record.result = restored ? "restored" : "started";
  record.listed = false;
  note(std::move(record));
}

void AuditLog::held(const ResourceKey& key, const std::string& /*version*/,
                    std::string_view content, std::optional<Nanos> /*ttl*/) {
  changes_[key] = std::string(content);
}

void AuditLog::dropped(const ResourceKey& key) {
  changes_[key] = std::nullopt;
}

void AuditLog::note(Record record) {
  record.at = clock_.wall();
  record.contents = std::exchange(changes_, {});
  const std::lock_guard lock(mutex_);
  if (waiting_ > kMostWaiting) {
    Record& last = records_.back();
    record.missed = last.missed + 1;
    last.contents.merge(record.contents);
    for (auto& [key, content] : record.contents) last.contents[key] = std::move(content);
    record.contents = std::move(last.contents);
    last = std::move(record);
    return;
  }
  waiting_ += record.bytes();
  records_.push_back(std::move(record));
  noted_.notify_all();
}

void AuditLog::run() {
  Writer writer(options_);
  std::string problem;
  std::unique_lock lock(mutex_);
  while (true) {
    noted_.wait(lock, [this] { return ending_ || !records_.empty(); });
    std::vector<Record> records = std::exchange(records_, {});
    waiting_ = 0;
    if (records.empty()) return;
    lock.unlock();
    for (Record& record : records) {
      const Status written = writer.write(std::move(record));
      const std::string now = written ? "" : written.error().message();
      if (std::exchange(problem, now) != now) onResult_(now);
    }
    lock.lock();
  }
}

}  // namespace sockmesh
