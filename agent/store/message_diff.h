// SPDX-License-Identifier: Apache-2.0
// What differs between two versions of a message, by field, for people. Elements of lists are
// matched by what they are (a name, an address, a locality) and not by their place. The cost grows
// with the size of both messages.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <vector>

namespace sockmesh {

struct FieldChange {
  // "endpoints[r1/z1/].lb_endpoints[10.0.0.1:80].load_balancing_weight"
  std::string path;
  // The values as protobuf prints them, each cut to about 200 bytes. Nothing: the field or the
  // element is not there.
  std::optional<std::string> from;
  std::optional<std::string> to;
};

struct MessageDiff {
  std::vector<FieldChange> fields;
  std::size_t more = 0;  // changes that are not in `fields`
};

// `before` and `after` are of one type. At most `most` changes are listed.
MessageDiff diffMessages(const google::protobuf::Message& before,
                         const google::protobuf::Message& after, std::size_t most = 50);

}  // namespace sockmesh
