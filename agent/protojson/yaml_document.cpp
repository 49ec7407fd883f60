// SPDX-License-Identifier: Apache-2.0
// YAML -> DocumentNode, from yaml-cpp's events. yaml-cpp's Node would lose the lines of keys and
// accept duplicate keys.
#include <fmt/format.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "protojson/core_schema.h"
#include "protojson/document.h"

namespace sockmesh {
namespace {

using Kind = DocumentNode::Kind;

// What aliases may add to the text's own content. More is taken for an attack.
constexpr std::uint64_t kMaxAliasedValues = 1'000'000;
constexpr std::uint64_t kMaxAliasedBytes = 64U << 20U;

// Builds one document. Keeps the first error and ignores everything after it.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(int firstLine) : firstLine_(firstLine) {}

  const std::optional<Error>& error() const { return error_; }
  Result<DocumentPtr> finish() && {
    if (error_) return *error_;
    return root_ ? root_ : std::make_shared<DocumentNode>();
  }

  void OnDocumentStart(const YAML::Mark& mark) override { start_ = mark; }
  void OnDocumentEnd() override {}
  const YAML::Mark& start() const { return start_; }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    complete(make(Kind::kNull, mark), anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    auto node = make(Kind::kString, mark);
    if (atKey()) {
      // A key is always its text, also if it looks like a number.
      node->text = value;
    } else if (const Status resolved = resolveScalar(tag, value, *node); !resolved) {
      fail(node->line, resolved.error().message());
    }
    complete(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchored_.find(anchor);
    if (found == anchored_.end())
      return fail(lineOf(mark), "an alias to a value that contains the alias");
    aliasedValues_ += found->second->values;
    aliasedBytes_ += found->second->bytes + found->second->text.size();
    if (aliasedValues_ > kMaxAliasedValues || aliasedBytes_ > kMaxAliasedBytes) {
      return fail(lineOf(mark), fmt::format("aliases add more than {} values or {} MiB",
                                            kMaxAliasedValues, kMaxAliasedBytes >> 20U));
    }
    complete(found->second, 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Kind::kList, mark, tag, "tag:yaml.org,2002:seq", anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Kind::kMap, mark, tag, "tag:yaml.org,2002:map", anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    std::shared_ptr<DocumentNode> node;
    YAML::anchor_t anchor = 0;
    std::optional<DocumentField> field;  // of a map: its key is read, its value is not
  };

  int lineOf(const YAML::Mark& mark) const { return firstLine_ + mark.line; }

  std::shared_ptr<DocumentNode> make(Kind kind, const YAML::Mark& mark) const {
    auto node = std::make_shared<DocumentNode>();
    node->kind = kind;
    node->line = lineOf(mark);
    return node;
  }

  bool atKey() const {
    return !open_.empty() && open_.back().node->kind == Kind::kMap && !open_.back().field;
  }

  void open(Kind kind, const YAML::Mark& mark, const std::string& tag, std::string_view ownTag,
            YAML::anchor_t anchor) {
    if (!tag.empty() && tag != "?" && tag != "!" && tag != ownTag) {
      fail(lineOf(mark), "tag " + tag + " is not supported here");
    }
    if (atKey()) fail(lineOf(mark), "a key is a list or a map");
    if (open_.size() >= kMaxDocumentDepth) check(tooDeep(lineOf(mark)));
    open_.push_back({make(kind, mark), anchor, std::nullopt});
  }

  void close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.node->kind == Kind::kMap) check(checkKeys(*closed.node));
    complete(std::move(closed.node), closed.anchor);
  }

  // `node` is complete. It is the root, an item of a list, a key of a map, or the value of the last
  // key.
  void complete(DocumentPtr node, YAML::anchor_t anchor) {
    if (anchor != 0) anchored_[anchor] = node;
    if (error_) return;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node->kind == Kind::kList) return check(addItem(*parent.node, std::move(node)));
    if (parent.field) {
      parent.field->value = std::move(node);
      check(addField(*parent.node, *std::exchange(parent.field, std::nullopt)));
    } else if (node->kind == Kind::kList || node->kind == Kind::kMap) {
      fail(node->line, "a key is a list or a map");
    } else {
      const bool isNull = node->kind == Kind::kNull;
      parent.field = DocumentField{isNull ? "null" : node->text, node->line, nullptr};
    }
  }

  void check(const Status& status) {
    if (!status && !error_) error_ = status.error();
  }
  void fail(int line, const std::string& message) { check(errorAtLine(line, message)); }

  int firstLine_;
  YAML::Mark start_;
  DocumentPtr root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, DocumentPtr> anchored_;
  std::uint64_t aliasedValues_ = 0;
  std::uint64_t aliasedBytes_ = 0;
  std::optional<Error> error_;
};

// yaml-cpp takes the text after a finished document for another document, even without a marker. If
// it cannot parse that text (a lone "]"), it never ends.
class Boundaries {
 public:
  Boundaries(std::string_view text, int firstLine) : rest_(text), firstLine_(firstLine) {}

  Status begin(const YAML::Mark& start) {
    const bool follows = std::exchange(started_, true);
    const bool stuck = follows && start.pos <= position_;
    position_ = start.pos;
    bool marked = false;
    while (line_ <= start.line) {
      const std::string_view line = rest_.substr(0, rest_.find('\n'));
      rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
      marked = line.starts_with("...") ||
               (line_ == start.line && start.column == 0 && line.starts_with("---")) || marked;
      ++line_;
    }
    if (!follows || (marked && !stuck)) return {};
    return errorAtLine(firstLine_ + start.line, "this does not belong to the document before it");
  }

 private:
  std::string_view rest_;
  int firstLine_;
  int line_ = 0;  // the first of rest_, from 0
  int position_ = 0;
  bool started_ = false;
};

}  // namespace

Result<std::vector<DocumentPtr>> parseYamlDocuments(const std::string& text, int firstLine) {
  std::vector<DocumentPtr> documents;
  Boundaries boundaries(text, firstLine);
  std::istringstream stream(text);
  std::optional<Builder> builder;
  try {
    YAML::Parser parser(stream);
    while (true) {
      builder.emplace(firstLine);
      if (!parser.HandleNextDocument(*builder)) return documents;
      if (Status begun = boundaries.begin(builder->start()); !begun) return begun.error();
      auto document = std::move(*builder).finish();
      if (!document) return document.error();
      documents.push_back(*std::move(document));
    }
  } catch (const YAML::Exception& exception) {
    // An earlier error may be the reason for the parser's error.
    if (builder && builder->error()) return *builder->error();
    return errorAtLine(firstLine + exception.mark.line, exception.msg);
  }
}

}  // namespace sockmesh
