// SPDX-License-Identifier: Apache-2.0
// Collects the errors of a resource, each with the path of its field, so that one NACK names all of
// them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sockmesh {

class FieldErrors {
 public:
  // Puts a name on the path while it lives: Scope("endpoints", 3) is "endpoints[3]".
  class Scope {
   public:
    Scope(FieldErrors& errors, std::string_view field);
    Scope(FieldErrors& errors, std::string_view field, std::size_t index);
    ~Scope() { errors_.path_.resize(before_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    FieldErrors& errors_;
    std::size_t before_;
  };

  // "path: message" for the present path.
  void add(const std::string& message);
  // The same for a field below the present path.
  void add(std::string_view field, const std::string& message);

  bool empty() const { return errors_.empty(); }
  // All of them, joined by "; ".
  Error error() const;

 private:
  std::string path_;
  std::vector<std::string> errors_;
};

}  // namespace sockmesh
