// SPDX-License-Identifier: Apache-2.0
// Errors as values. Every fallible function of the agent returns Result<T>; no exception crosses a
// room. An Error says what failed, innermost last: "endpoints[3].port_value: 70000 is not a port".
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sockmesh {

class Error {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}

  // An error of a system call: "what: strerror(errnum)". `errnum` is a positive errno.
  static Error fromErrno(std::string_view what, int errnum);

  // The same error with "where: " before it. Each caller on the way up adds its part, so that the
  // message shows the whole path.
  [[nodiscard]] Error in(std::string_view where) const {
    Error wrapped(std::string(where) + ": " + message_);
    wrapped.errnum_ = errnum_;
    return wrapped;
  }

  const std::string& message() const { return message_; }
  // The errno behind the error, or 0 if there is none.
  int errnum() const { return errnum_; }

 private:
  std::string message_;
  int errnum_ = 0;
};

// A value or an Error. To ask a failed Result for its value breaks an invariant, and aborts.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return ok() ? std::get<0>(state_) : (std::abort(), std::get<0>(state_)); }
  const T& value() const& {
    return ok() ? std::get<0>(state_) : (std::abort(), std::get<0>(state_));
  }
  T&& value() && { return std::move(value()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    return ok() ? (std::abort(), std::get<1>(state_)) : std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return error_.has_value() ? *error_ : (std::abort(), *error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace sockmesh
