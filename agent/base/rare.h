// SPDX-License-Identifier: Apache-2.0
// Fields that few of very many objects use, in the space of a pointer. They are copied and compared
// like the value.
#pragma once

#include <memory>
#include <utility>

namespace sockmesh {

// A value that is mostly T().
template <typename T>
class Rare {
 public:
  Rare() = default;  // T()
  // NOLINTNEXTLINE(google-explicit-constructor): stands for the value
  Rare(T value) { *this = std::move(value); }
  Rare(const Rare& other) : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
  Rare(Rare&&) noexcept = default;
  Rare& operator=(const Rare& other) {
    if (this != &other) value_ = other.value_ ? std::make_unique<T>(*other.value_) : nullptr;
    return *this;
  }
  Rare& operator=(Rare&&) noexcept = default;
  Rare& operator=(T value) {
    value_ = value == T() ? nullptr : std::make_unique<T>(std::move(value));
    return *this;
  }
  ~Rare() = default;

  const T& operator*() const { return value_ ? *value_ : none(); }
  const T* operator->() const { return &**this; }
  // NOLINTNEXTLINE(google-explicit-constructor): stands for the value
  operator const T&() const { return **this; }
  bool empty() const requires requires(const T& value) { value.empty(); }
  { return (**this).empty(); }
  // To change it. It takes memory of its own from now on.
  T& edit() {
    if (!value_) value_ = std::make_unique<T>();
    return *value_;
  }

  friend bool operator==(const Rare& a, const Rare& b) { return a.value_ == b.value_ || *a == *b; }

 private:
  static const T& none() {
    static const T value;
    return value;
  }

  std::unique_ptr<T> value_;
};

// A value that is mostly not there: std::optional where the value is large.
template <typename T>
class RareOptional {
 public:
  RareOptional() = default;  // nothing
  // NOLINTNEXTLINE(google-explicit-constructor): as std::optional
  RareOptional(T value) : value_(std::make_unique<T>(std::move(value))) {}
  RareOptional(const RareOptional& other)
      : value_(other.value_ ? std::make_unique<T>(*other.value_) : nullptr) {}
  RareOptional(RareOptional&&) noexcept = default;
  RareOptional& operator=(const RareOptional& other) {
    if (this != &other) value_ = other.value_ ? std::make_unique<T>(*other.value_) : nullptr;
    return *this;
  }
  RareOptional& operator=(RareOptional&&) noexcept = default;
  ~RareOptional() = default;

  bool has_value() const { return value_ != nullptr; }
  explicit operator bool() const { return has_value(); }
  const T& operator*() const { return *value_; }
  T& operator*() { return *value_; }
  const T* operator->() const { return value_.get(); }
  T* operator->() { return value_.get(); }
  T& emplace() {
    value_ = std::make_unique<T>();
    return *value_;
  }
  void reset() { value_.reset(); }

  friend bool operator==(const RareOptional& a, const RareOptional& b) {
    return a.has_value() == b.has_value() && (!a || *a == *b);
  }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace sockmesh
