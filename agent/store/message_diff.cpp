// SPDX-License-Identifier: Apache-2.0
#include "store/message_diff.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/time_util.h>

#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "envoy/config/endpoint/v3/endpoint.pb.h"

namespace sockmesh {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::size_t kMostText = 200;  // bytes of a value
// Larger messages are printed without a look into Any. In this size no more than about a hundred
// fit into each other.
constexpr std::size_t kMostExpanded = 4096;
// Messages inside of Any are parsed one by one, so protobuf's own limit does not hold for all.
constexpr int kMostDepth = 100;

std::string bytesOf(const Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return bytes;
}

std::string cut(std::string text) {
  if (text.size() <= kMostText) return text;
  text.resize(kMostText);
  return text + "...";
}

// `index` is -1 of a field that is no list.
std::string valueText(const Message& message, const FieldDescriptor& field, int index) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.SetExpandAny(message.ByteSizeLong() <= kMostExpanded);
  std::string text;
  printer.PrintFieldValueToString(message, &field, index, &text);
  return text;
}

// Messages that stand for one value are shown as that value; nothing: not such a message.
std::optional<std::string> plainText(const Message& message) {
  if (const auto* duration = dynamic_cast<const google::protobuf::Duration*>(&message)) {
    return google::protobuf::util::TimeUtil::ToString(*duration);
  }
  if (message.GetDescriptor()->file()->name() != "google/protobuf/wrappers.proto") {
    return std::nullopt;
  }
  return valueText(message, *message.GetDescriptor()->field(0), -1);
}

std::string localityKey(const envoy::config::endpoint::v3::LocalityLbEndpoints& group) {
  const auto& locality = group.locality();
  std::string key = locality.region() + "/" + locality.zone() + "/" + locality.sub_zone();
  return group.priority() == 0 ? key : key + " priority " + std::to_string(group.priority());
}

std::string endpointKey(const envoy::config::endpoint::v3::LbEndpoint& endpoint) {
  if (!endpoint.endpoint().address().has_socket_address()) return "";
  const auto& address = endpoint.endpoint().address().socket_address();
  return address.address() + ":" + std::to_string(address.port_value());
}

// What an element of a list is called; "" where it has no name.
std::string keyOf(const Message& element) {
  using envoy::config::endpoint::v3::LbEndpoint;
  using envoy::config::endpoint::v3::LocalityLbEndpoints;
  if (const auto* group = dynamic_cast<const LocalityLbEndpoints*>(&element)) {
    return localityKey(*group);
  }
  if (const auto* endpoint = dynamic_cast<const LbEndpoint*>(&element)) {
    return endpointKey(*endpoint);
  }
  for (const char* name : {"name", "key", "cluster"}) {
    const FieldDescriptor* field = element.GetDescriptor()->FindFieldByName(name);
    if (field == nullptr || field->is_repeated() ||
        field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
      continue;
    }
    const std::string key = element.GetReflection()->GetString(element, field);
    if (!key.empty()) return key;
  }
  return "";
}

// The message inside, where its type is known.
std::unique_ptr<Message> unpacked(const Any& any) {
  const std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return nullptr;
  const Message* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
  std::unique_ptr<Message> message(prototype->New());
  return message->ParsePartialFromString(any.value()) ? std::move(message) : nullptr;
}

class Differ {
 public:
  explicit Differ(std::size_t most) : most_(most) {}

  void compare(const Message& before, const Message& after);
  MessageDiff take() { return std::move(diff_); }

 private:
  // An element of one of two lists.
  struct Element {
    const Message* list = nullptr;  // the message with the list
    int index = 0;
    std::string key;
  };
  using Elements = std::vector<Element>;

  void comparePayloads(const Any& before, const Any& after);
  void compareField(const Message& before, const Message& after, const FieldDescriptor& field);
  void compareLists(const Message& before, const Message& after, const FieldDescriptor& field);
  static std::pair<Elements, Elements> differing(const Message& before, const Message& after,
                                                 const FieldDescriptor& field);
  void comparePairs(Elements before, Elements after, const FieldDescriptor& field);
  void compareElements(const Element& before, const Element& after, const FieldDescriptor& field);
  void reportElement(const Element& element, const FieldDescriptor& field, bool isNew);
  void report(std::optional<std::string> from, std::optional<std::string> to);

  // Runs `work` with `part` at the end of the path.
  template <typename Work>
  void at(const std::string& part, Work work) {
    const std::size_t length = path_.size();
    const bool joins = path_.empty() || part.starts_with('[');
    path_ += (joins ? "" : ".") + part;
    ++depth_;
    work();
    --depth_;
    path_.resize(length);
  }

  std::size_t most_;
  std::string path_;
  int depth_ = 0;
  MessageDiff diff_;
};

void Differ::report(std::optional<std::string> from, std::optional<std::string> to) {
  if (diff_.fields.size() >= most_) {
    ++diff_.more;
    return;
  }
  if (from) from = cut(*std::move(from));
  if (to) to = cut(*std::move(to));
  diff_.fields.push_back({path_, std::move(from), std::move(to)});
}

void Differ::compare(const Message& before, const Message& after) {
  if (const auto* any = dynamic_cast<const Any*>(&before)) {
    return comparePayloads(*any, dynamic_cast<const Any&>(after));
  }
  std::map<int, const FieldDescriptor*> fields;
  for (const Message* message : {&before, &after}) {
    std::vector<const FieldDescriptor*> set;
    message->GetReflection()->ListFields(*message, &set);
    for (const FieldDescriptor* field : set) fields.emplace(field->number(), field);
  }
  for (const auto& [number, field] : fields) {
    at(field->name(), [&, one = field] {
      if (one->is_repeated()) return compareLists(before, after, *one);
      compareField(before, after, *one);
    });
  }
  const auto unknown = [](const Message& message) {
    std::string bytes;
    message.GetReflection()->GetUnknownFields(message).SerializeToString(&bytes);
    return bytes;
  };
  const std::string from = unknown(before), to = unknown(after);
  if (from == to) return;
  at("(fields that sockmesh does not know)", [&] {
    report(std::to_string(from.size()) + " bytes", std::to_string(to.size()) + " other bytes");
  });
}

void Differ::comparePayloads(const Any& before, const Any& after) {
  if (before.type_url() == after.type_url() && before.value() == after.value()) return;
  const auto from = unpacked(before), to = unpacked(after);
  if (before.type_url() == after.type_url() && from && to && depth_ < kMostDepth) {
    ++depth_;
    compare(*from, *to);
    --depth_;
    return;
  }
  const auto text = [](const Any& any) {
    return any.type_url() + ", " + std::to_string(any.value().size()) + " bytes";
  };
  report(text(before), text(after));
}

void Differ::compareField(const Message& before, const Message& after,
                          const FieldDescriptor& field) {
  const bool had = before.GetReflection()->HasField(before, &field);
  const bool has = after.GetReflection()->HasField(after, &field);
  if (had && has && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    const Message& from = before.GetReflection()->GetMessage(before, &field);
    const Message& to = after.GetReflection()->GetMessage(after, &field);
    if (bytesOf(from) == bytesOf(to)) return;
    if (auto text = plainText(from)) return report(std::move(text), plainText(to));
    return compare(from, to);
  }
  const auto text = [&](const Message& message) {
    std::optional<std::string> plain;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      plain = plainText(message.GetReflection()->GetMessage(message, &field));
    }
    return plain ? plain : valueText(message, field, -1);
  };
  std::optional<std::string> from, to;
  if (had) from = text(before);
  if (has) to = text(after);
  if (from != to) report(std::move(from), std::move(to));
}

void Differ::compareLists(const Message& before, const Message& after,
                          const FieldDescriptor& field) {
  auto [gone, come] = differing(before, after, field);
  if (!gone.empty() || !come.empty()) return comparePairs(std::move(gone), std::move(come), field);
  const int count = before.GetReflection()->FieldSize(before, &field);
  if (field.is_map() || bytesOf(before) == bytesOf(after)) return;
  for (int i = 0; i < count; ++i) {
    if (valueText(before, field, i) == valueText(after, field, i)) continue;
    return report(std::to_string(count) + " elements", "the same in another order");
  }
}

// The elements of each list that the other one does not have as they are.
std::pair<Differ::Elements, Differ::Elements> Differ::differing(const Message& before,
                                                                const Message& after,
                                                                const FieldDescriptor& field) {
  const bool messages = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  const auto each = [&](const Message& list, const auto& work) {
    const int count = list.GetReflection()->FieldSize(list, &field);
    for (int i = 0; i < count; ++i) {
      const Message* element =
          messages ? &list.GetReflection()->GetRepeatedMessage(list, &field, i) : nullptr;
      work(i, element, element != nullptr ? bytesOf(*element) : valueText(list, field, i));
    }
  };
  std::unordered_map<std::string, std::size_t> others;
  each(after, [&](int, const Message*, const std::string& bytes) { ++others[bytes]; });
  std::pair<Elements, Elements> out;
  std::unordered_map<std::string, std::size_t> common;
  each(before, [&](int index, const Message* element, const std::string& bytes) {
    const auto other = others.find(bytes);
    if (other != others.end() && other->second > 0) {
      --other->second;
      ++common[bytes];
    } else {
      out.first.push_back({&before, index, element != nullptr ? keyOf(*element) : ""});
    }
  });
  each(after, [&](int index, const Message* element, const std::string& bytes) {
    const auto known = common.find(bytes);
    if (known != common.end() && known->second > 0) {
      --known->second;
    } else {
      out.second.push_back({&after, index, element != nullptr ? keyOf(*element) : ""});
    }
  });
  return out;
}

// Those of one key are one element that changed. Without keys, lists of one length are compared by
// place.
void Differ::comparePairs(Elements before, Elements after, const FieldDescriptor& field) {
  const bool messages = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  const bool byPlace = messages && before.size() == after.size();
  std::unordered_multimap<std::string, std::size_t> places;
  for (std::size_t i = 0; i < after.size(); ++i) places.emplace(after[i].key, i);
  std::vector<bool> paired(after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    std::optional<std::size_t> other;
    if (!before[i].key.empty()) {
      if (const auto found = places.find(before[i].key); found != places.end()) {
        other = found->second;
        places.erase(found);
      }
    } else if (byPlace && after[i].key.empty()) {
      other = i;
    }
    if (!other) {
      reportElement(before[i], field, false);
    } else {
      paired[*other] = true;
      compareElements(before[i], after[*other], field);
    }
  }
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (!paired[i]) reportElement(after[i], field, true);
  }
}

void Differ::compareElements(const Element& before, const Element& after,
                             const FieldDescriptor& field) {
  const std::string key = before.key.empty() ? std::to_string(before.index) : before.key;
  at("[" + key + "]", [&] {
    compare(before.list->GetReflection()->GetRepeatedMessage(*before.list, &field, before.index),
            after.list->GetReflection()->GetRepeatedMessage(*after.list, &field, after.index));
  });
}

void Differ::reportElement(const Element& element, const FieldDescriptor& field, bool isNew) {
  const auto value = [&] { return valueText(*element.list, field, element.index); };
  const auto tell = [&] {
    if (diff_.fields.size() >= most_) return void(++diff_.more);
    isNew ? report(std::nullopt, value()) : report(value(), std::nullopt);
  };
  if (element.key.empty()) return tell();
  at("[" + element.key + "]", tell);
}

}  // namespace

MessageDiff diffMessages(const Message& before, const Message& after, std::size_t most) {
  Differ differ(most);
  differ.compare(before, after);
  return differ.take();
}

}  // namespace sockmesh
