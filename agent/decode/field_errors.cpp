// SPDX-License-Identifier: Apache-2.0
#include "decode/field_errors.h"

namespace sockmesh {

FieldErrors::Scope::Scope(FieldErrors& errors, std::string_view field)
    : errors_(errors), before_(errors.path_.size()) {
  if (before_ > 0) errors_.path_ += '.';
  errors_.path_ += field;
}

FieldErrors::Scope::Scope(FieldErrors& errors, std::string_view field, std::size_t index)
    : Scope(errors, field) {
  errors_.path_ += '[' + std::to_string(index) + ']';
}

void FieldErrors::add(const std::string& message) {
  errors_.push_back(path_.empty() ? message : path_ + ": " + message);
}

void FieldErrors::add(std::string_view field, const std::string& message) {
  const Scope scope(*this, field);
  add(message);
}

Error FieldErrors::error() const {
  std::string all;
  for (const std::string& one : errors_) {
    if (!all.empty()) all += "; ";
    all += one;
  }
  return Error(all);
}

}  // namespace sockmesh
