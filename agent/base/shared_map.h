// SPDX-License-Identifier: Apache-2.0
// A map that is cheap to copy. Copies share their parts, and a change copies only the part that it
// touches: a snapshot with one changed resource costs a part, not all resources.
//
// It is a tree of three levels: the root, branches of up to 64 parts, parts of up to 32 entries. A
// copy costs the root, which has one pointer for about a thousand entries. A change costs the root,
// one branch and one part.
//
// Entries are in order of key. A change invalidates the iterators of the changed map, and never
// those of its copies. Copies may be used on different threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sockmesh {

template <typename T, typename Key = std::string>
class SharedMap {
 public:
  using key_type = Key;
  using mapped_type = T;
  using value_type = std::pair<Key, T>;

 private:
  using Part = std::vector<value_type>;               // never empty, in order
  using Branch = std::vector<std::shared_ptr<Part>>;  // never empty
  using Root = std::vector<std::shared_ptr<Branch>>;
  static constexpr std::size_t kPartSize = 32;    // at most
  static constexpr std::size_t kBranchSize = 64;  // at most
  struct Place {
    std::size_t branch = 0;
    std::size_t part = 0;
    std::size_t entry = 0;
    bool operator==(const Place&) const = default;
  };

 public:
  class const_iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = SharedMap::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return part()[place_.entry]; }
    pointer operator->() const { return &**this; }
    const_iterator& operator++() {
      if (++place_.entry == part().size()) skipPart();
      return *this;
    }
    const_iterator& operator--() {
      if (place_.entry == 0) {
        if (place_.part == 0) place_.part = (*root_)[--place_.branch]->size();
        --place_.part;
        place_.entry = part().size();
      }
      --place_.entry;
      return *this;
    }
    const_iterator operator++(int) { return std::exchange(*this, std::next(*this)); }
    const_iterator operator--(int) { return std::exchange(*this, std::prev(*this)); }
    bool operator==(const const_iterator& other) const { return place_ == other.place_; }

   private:
    friend class SharedMap;
    const_iterator(const Root& root, Place place) : root_(&root), place_(place) {}
    const std::shared_ptr<Branch>& branch() const { return (*root_)[place_.branch]; }
    const Part& part() const { return *(*branch())[place_.part]; }
    void skipPart() {
      place_.entry = 0;
      if (++place_.part == branch()->size()) skipBranch();
    }
    void skipBranch() { place_ = {place_.branch + 1, 0, 0}; }
    // Moves over what both have in common, where both are at the beginning of it.
    static bool skipShared(const_iterator& a, const_iterator& b) {
      if (a.place_.entry != 0 || b.place_.entry != 0) return false;
      if (a.place_.part == 0 && b.place_.part == 0 && a.branch() == b.branch()) {
        a.skipBranch();
        b.skipBranch();
        return true;
      }
      if (&a.part() != &b.part()) return false;
      a.skipPart();
      b.skipPart();
      return true;
    }

    const Root* root_ = nullptr;
    Place place_;
  };
  using iterator = const_iterator;

  SharedMap() = default;
  SharedMap(std::initializer_list<value_type> entries) {
    for (const auto& [key, value] : entries) (*this)[key] = value;
  }

  const_iterator begin() const { return {root_, {}}; }
  const_iterator end() const { return {root_, {root_.size(), 0, 0}}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void clear() { *this = SharedMap(); }

  // `K` is ordered with keys; no key is made of it.
  template <typename K = Key>
  const_iterator find(const K& key) const {
    const Place place = placeOf(key);
    return holds(place, key) ? const_iterator(root_, place) : end();
  }
  template <typename K = Key>
  bool contains(const K& key) const {
    return holds(placeOf(key), key);
  }
  template <typename K = Key>
  const T& at(const K& key) const {
    const auto found = find(key);
    if (found == end()) throw std::out_of_range("SharedMap::at");
    return found->second;
  }

  // Adds an empty value where there is none.
  T& operator[](const Key& key) {
    Place place = placeOf(key);
    if (holds(place, key)) return own(place)[place.entry].second;
    ++size_;
    return insert(place, key);
  }
  // The number of entries removed.
  std::size_t erase(const Key& key) {
    const Place place = placeOf(key);
    if (!holds(place, key)) return 0;
    Part& part = own(place);
    part.erase(part.begin() + offset(place.entry));
    --size_;
    shrink(place);
    return 1;
  }

  // The keys that have another value in `other`, or are in one of the two alone. What the two share
  // is not looked at.
  std::set<Key> differing(const SharedMap& other) const {
    std::set<Key> keys;
    auto a = begin();
    auto b = other.begin();
    while (a != end() && b != other.end()) {
      if (const_iterator::skipShared(a, b)) continue;
      if (a->first < b->first) {
        keys.insert((a++)->first);
      } else if (b->first < a->first) {
        keys.insert((b++)->first);
      } else {
        if (!(a->second == b->second)) keys.insert(a->first);
        ++a;
        ++b;
      }
    }
    for (; a != end(); ++a) keys.insert(a->first);
    for (; b != other.end(); ++b) keys.insert(b->first);
    return keys;
  }
  bool operator==(const SharedMap& other) const {
    return size_ == other.size_ && differing(other).empty();
  }

 private:
  static std::ptrdiff_t offset(std::size_t index) { return static_cast<std::ptrdiff_t>(index); }
  static const Key& firstOf(const std::shared_ptr<Part>& part) { return part->front().first; }
  static const Key& firstOf(const std::shared_ptr<Branch>& branch) {
    return firstOf(branch->front());
  }
  // The last child that does not begin behind `key`; the first one where all do.
  template <typename Children, typename K>
  static std::size_t childOf(const Children& children, const K& key) {
    const auto behind =
        std::upper_bound(children.begin(), children.end(), key,
                         [](const K& a, const auto& child) { return a < firstOf(child); });
    return static_cast<std::size_t>(std::max(behind - children.begin(), std::ptrdiff_t{1}) - 1);
  }

  // Where `key` is or belongs.
  template <typename K>
  Place placeOf(const K& key) const {
    if (root_.empty()) return {};
    Place place;
    place.branch = childOf(root_, key);
    const Branch& branch = *root_[place.branch];
    place.part = childOf(branch, key);
    const Part& part = *branch[place.part];
    const auto entry =
        std::lower_bound(part.begin(), part.end(), key,
                         [](const value_type& one, const K& wanted) { return one.first < wanted; });
    place.entry = static_cast<std::size_t>(entry - part.begin());
    return place;
  }
  template <typename K>
  bool holds(const Place& place, const K& key) const {
    if (root_.empty()) return false;
    const Part& part = *(*root_[place.branch])[place.part];
    return place.entry < part.size() && part[place.entry].first == key;
  }

  // The node, of this map alone from now on.
  template <typename Node>
  static Node& own(std::shared_ptr<Node>& node) {
    if (node.use_count() > 1) {
      node = std::make_shared<Node>(*node);
    } else {
      // Another thread may have given up its copy just now: what that thread read is behind us.
      std::atomic_thread_fence(std::memory_order_acquire);
    }
    return *node;
  }
  Part& own(const Place& place) { return own(own(root_[place.branch])[place.part]); }

  T& insert(Place place, const Key& key) {
    if (root_.empty()) {
      root_.push_back(std::make_shared<Branch>(1, std::make_shared<Part>()));
    } else if ((*root_[place.branch])[place.part]->size() == kPartSize) {
      place = split(place);
    }
    Part& part = own(place);
    return part.emplace(part.begin() + offset(place.entry), key, T())->second;
  }

  // Moves what is behind the first `half` of a node into a new one behind the node; returns `half`.
  template <typename Node>
  static std::size_t splitNode(std::vector<std::shared_ptr<Node>>& nodes, std::size_t index,
                               std::size_t half) {
    Node& node = own(nodes[index]);
    const auto middle = node.begin() + offset(half);
    auto second = std::make_shared<Node>(std::make_move_iterator(middle),
                                         std::make_move_iterator(node.end()));
    node.erase(middle, node.end());
    nodes.insert(nodes.begin() + offset(index) + 1, std::move(second));
    return half;
  }

  // Makes room in a full part; returns where `place` is then.
  Place split(Place place) {
    if (root_[place.branch]->size() == kBranchSize) {
      const std::size_t half = splitNode(root_, place.branch, kBranchSize / 2);
      if (place.part >= half) place = {place.branch + 1, place.part - half, place.entry};
    }
    // What comes in order of key fills its parts.
    const std::size_t half = splitNode(own(root_[place.branch]), place.part,
                                       place.entry == kPartSize ? kPartSize : kPartSize / 2);
    if (place.entry < half) return place;
    return {place.branch, place.part + 1, place.entry - half};
  }

  // After an entry was removed: no empty node stays. Many small nodes would make copies dear.
  void shrink(const Place& place) {
    Branch& branch = own(root_[place.branch]);
    shrinkNode(branch, place.part, kPartSize);
    shrinkNode(root_, place.branch, kBranchSize);
  }
  template <typename Node>
  static void shrinkNode(std::vector<std::shared_ptr<Node>>& nodes, std::size_t index,
                         std::size_t size) {
    if (nodes[index]->empty()) {
      nodes.erase(nodes.begin() + offset(index));
      return;
    }
    if (index + 1 >= nodes.size()) return;
    const std::shared_ptr<Node> next = nodes[index + 1];
    if (nodes[index]->size() + next->size() > size / 2) return;
    Node& node = own(nodes[index]);
    node.insert(node.end(), next->begin(), next->end());
    nodes.erase(nodes.begin() + offset(index) + 1);
  }

  Root root_;
  std::size_t size_ = 0;
};

}  // namespace sockmesh
