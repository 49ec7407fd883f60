// SPDX-License-Identifier: Apache-2.0
// The HTTP connection manager of a filter chain, as far as a connect() can follow it.
#pragma once

#include <google/protobuf/any.pb.h>

#include <string>

#include "decode/decoded_listener.h"
#include "decode/field_errors.h"

namespace sockmesh {

bool isHttpManager(const google::protobuf::Any& config);

struct HttpManager {
  HttpChain chain;
  std::string leftAlone;  // why a connect() cannot follow it
};

// Reads and checks `config`, which is the typed_config of the filter at the errors' present path.
HttpManager decodeHttpManager(const google::protobuf::Any& config, FieldErrors& errors);

}  // namespace sockmesh
