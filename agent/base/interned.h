// SPDX-License-Identifier: Apache-2.0
// Equal values once: a handle to an immutable value that all equal handles share. A handle has the
// size of a pointer, a copy costs one atomic count, and equality compares pointers. It costs a
// search to make a handle of a value. The last handle frees the value. Handles may be made, copied
// and destroyed on any thread.
#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_set>
#include <utility>

namespace sockmesh {

template <typename T>
class Interned {
 public:
  Interned() = default;  // T(), which costs nothing
  // NOLINTNEXTLINE(google-explicit-constructor): stands for the value
  Interned(const T& value) : node_(value == none() ? nullptr : pool().take(value)) {}
  template <typename U>
  requires(!std::same_as<U, Interned> && !std::same_as<U, T> && std::convertible_to<const U&, T>)
      // NOLINTNEXTLINE(google-explicit-constructor): stands for the value
      Interned(const U& value)
      : Interned(T(value)) {}
  Interned(const Interned& other) : node_(other.node_) {
    if (node_ != nullptr) node_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Interned(Interned&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  // NOLINTNEXTLINE(bugprone-unhandled-self-assignment): the copy is made first
  Interned& operator=(const Interned& other) {
    Interned copy(other);
    std::swap(node_, copy.node_);
    return *this;
  }
  Interned& operator=(Interned&& other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~Interned() {
    if (node_ != nullptr) pool().release(node_);
  }

  const T& operator*() const { return node_ == nullptr ? none() : node_->value; }
  const T* operator->() const { return &**this; }
  // NOLINTNEXTLINE(google-explicit-constructor): stands for the value
  operator const T&() const { return **this; }
  bool empty() const requires requires(const T& value) { value.empty(); }
  { return (**this).empty(); }

  friend bool operator==(const Interned& a, const Interned& b) { return a.node_ == b.node_; }
  template <typename U>
  requires(!std::same_as<U, Interned> && std::convertible_to<const U&, T>) friend bool operator==(
      const Interned& a, const U& b) {
    return *a == b;
  }
  friend std::strong_ordering operator<=>(const Interned& a, const Interned& b) {
    if (a.node_ == b.node_) return std::strong_ordering::equal;
    return *a <=> *b;
  }
  template <typename U>
  requires(!std::same_as<U, Interned> &&
           std::convertible_to<const U&, T>) friend std::strong_ordering
  operator<=>(const Interned& a, const U& b) {
    return *a <=> b;
  }
  template <typename Stream>
  requires requires(Stream& out, const T& value) { out << value; }
  friend Stream& operator<<(Stream& out, const Interned& value) {
    out << *value;
    return out;
  }

 private:
  struct Node {
    explicit Node(const T& of, std::size_t itsHash) : value(of), hash(itsHash) {}
    const T value;
    const std::size_t hash;
    std::atomic<std::uint32_t> references{1};
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const Node* node) const { return node->hash; }
    std::size_t operator()(const std::pair<const T*, std::size_t>& key) const { return key.second; }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Node* a, const Node* b) const { return a == b; }
    bool operator()(const std::pair<const T*, std::size_t>& key, const Node* node) const {
      return key.second == node->hash && *key.first == node->value;
    }
    bool operator()(const Node* node, const std::pair<const T*, std::size_t>& key) const {
      return (*this)(key, node);
    }
  };

  // All values with a handle. In parts, so that threads seldom meet.
  class Pool {
   public:
    Node* take(const T& value) {
      const std::size_t hash = std::hash<T>{}(value);
      Part& part = partOf(hash);
      const std::lock_guard lock(part.mutex);
      if (const auto known = part.nodes.find(std::pair(&value, hash)); known != part.nodes.end()) {
        (*known)->references.fetch_add(1, std::memory_order_relaxed);
        return *known;
      }
      return *part.nodes.insert(new Node(value, hash)).first;
    }
    // The last reference goes under the lock: take() must not find what is about to go.
    void release(Node* node) {
      std::uint32_t references = node->references.load(std::memory_order_relaxed);
      while (references > 1) {
        if (node->references.compare_exchange_weak(
                references, references - 1, std::memory_order_release, std::memory_order_relaxed)) {
          return;
        }
      }
      Part& part = partOf(node->hash);
      const std::lock_guard lock(part.mutex);
      if (node->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      part.nodes.erase(node);
      delete node;
    }

   private:
    struct Part {
      std::mutex mutex;
      std::unordered_set<Node*, Hash, Equal> nodes;
    };
    // The sets use the low bits.
    Part& partOf(std::size_t hash) { return parts_[hash >> 24U & (kParts - 1)]; }
    static constexpr std::size_t kParts = 64;
    std::array<Part, kParts> parts_;
  };

  // Never destroyed: handles may outlive other static objects.
  static Pool& pool() {
    static auto& pool = *new Pool;
    return pool;
  }
  static const T& none() {
    static const auto& value = *new T();
    return value;
  }

  Node* node_ = nullptr;  // null: T()
};

}  // namespace sockmesh

template <typename T>
struct std::hash<sockmesh::Interned<T>> {
  std::size_t operator()(const sockmesh::Interned<T>& handle) const noexcept {
    return std::hash<const T*>{}(&*handle);
  }
};
