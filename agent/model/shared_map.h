// SPDX-License-Identifier: Apache-2.0
// A map from names that is cheap to copy. Copies share their parts, and a change copies only the
// part that it touches: a snapshot with one changed resource costs a part, not all resources.
//
// Entries are in order of name. A change invalidates the iterators of the changed map, and never
// those of its copies. Copies may be used on different threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sockmesh {

template <typename T>
class SharedMap {
 public:
  using key_type = std::string;
  using mapped_type = T;
  using value_type = std::pair<std::string, T>;

 private:
  using Part = std::vector<value_type>;  // never empty, in order
  using Parts = std::vector<std::shared_ptr<Part>>;
  static constexpr std::size_t kPartSize = 64;  // at most
  struct Place {
    std::size_t part = 0;
    std::size_t entry = 0;
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
    reference operator*() const { return (*(*parts_)[place_.part])[place_.entry]; }
    pointer operator->() const { return &**this; }
    const_iterator& operator++() {
      if (++place_.entry == (*parts_)[place_.part]->size()) place_ = {place_.part + 1, 0};
      return *this;
    }
    const_iterator& operator--() {
      if (place_.entry == 0) {
        --place_.part;
        place_.entry = (*parts_)[place_.part]->size();
      }
      --place_.entry;
      return *this;
    }
    const_iterator operator++(int) { return std::exchange(*this, std::next(*this)); }
    const_iterator operator--(int) { return std::exchange(*this, std::prev(*this)); }
    bool operator==(const const_iterator& other) const {
      return place_.part == other.place_.part && place_.entry == other.place_.entry;
    }

   private:
    friend class SharedMap;
    const_iterator(const Parts& parts, Place place) : parts_(&parts), place_(place) {}
    const Parts* parts_ = nullptr;
    Place place_;
  };
  using iterator = const_iterator;

  const_iterator begin() const { return {parts_, {}}; }
  const_iterator end() const { return {parts_, {parts_.size(), 0}}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  const_iterator find(const std::string& name) const {
    const Place place = placeOf(name);
    return holds(place, name) ? const_iterator(parts_, place) : end();
  }
  bool contains(const std::string& name) const { return holds(placeOf(name), name); }
  const T& at(const std::string& name) const {
    const auto found = find(name);
    if (found == end()) throw std::out_of_range(name);
    return found->second;
  }

  // Adds an empty value where there is none.
  T& operator[](const std::string& name) {
    const Place place = placeOf(name);
    if (holds(place, name)) return own(place.part)[place.entry].second;
    ++size_;
    return insert(place, name);
  }
  // The number of entries removed.
  std::size_t erase(const std::string& name) {
    const Place place = placeOf(name);
    if (!holds(place, name)) return 0;
    Part& part = own(place.part);
    part.erase(part.begin() + static_cast<std::ptrdiff_t>(place.entry));
    if (part.empty()) removePart(place.part);
    --size_;
    mergeWithNext(place.part);
    return 1;
  }

 private:
  // Where `name` is or belongs: in the last part that does not begin behind it.
  Place placeOf(const std::string& name) const {
    const auto behind = std::ranges::upper_bound(
        parts_, name, {},
        [](const auto& part) -> const std::string& { return part->front().first; });
    if (behind == parts_.begin()) return {};
    const Part& part = **std::prev(behind);
    const auto entry = std::ranges::lower_bound(part, name, {}, &value_type::first);
    return {static_cast<std::size_t>(behind - parts_.begin()) - 1,
            static_cast<std::size_t>(entry - part.begin())};
  }
  bool holds(Place place, const std::string& name) const {
    if (place.part == parts_.size()) return false;
    const Part& part = *parts_[place.part];
    return place.entry < part.size() && part[place.entry].first == name;
  }

  // The part, of this map alone from now on.
  Part& own(std::size_t index) {
    std::shared_ptr<Part>& part = parts_[index];
    if (part.use_count() > 1) {
      part = std::make_shared<Part>(*part);
    } else {
      // Another thread may have given up its copy just now: what that thread read is behind us.
      std::atomic_thread_fence(std::memory_order_acquire);
    }
    return *part;
  }

  T& insert(Place place, const std::string& name) {
    if (parts_.empty()) parts_.push_back(std::make_shared<Part>());
    if (parts_[place.part]->size() == kPartSize) place = split(place);
    Part& part = own(place.part);
    const auto at = part.begin() + static_cast<std::ptrdiff_t>(place.entry);
    return part.emplace(at, name, T())->second;
  }

  // Halves a full part; returns where `place` is then. What comes in order of name fills its parts.
  Place split(Place place) {
    Part& part = own(place.part);
    const std::size_t half = place.entry == kPartSize ? kPartSize : kPartSize / 2;
    const auto middle = part.begin() + static_cast<std::ptrdiff_t>(half);
    auto second = std::make_shared<Part>(std::make_move_iterator(middle),
                                         std::make_move_iterator(part.end()));
    part.erase(middle, part.end());
    parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(place.part) + 1, std::move(second));
    return place.entry < half ? place : Place{place.part + 1, place.entry - half};
  }

  void removePart(std::size_t index) {
    parts_.erase(parts_.begin() + static_cast<std::ptrdiff_t>(index));
  }
  // Many small parts would make copies dear.
  void mergeWithNext(std::size_t index) {
    if (index + 1 >= parts_.size()) return;
    const std::shared_ptr<Part> next = parts_[index + 1];
    if (parts_[index]->size() + next->size() > kPartSize / 2) return;
    Part& part = own(index);
    part.insert(part.end(), next->begin(), next->end());
    removePart(index + 1);
  }

  Parts parts_;
  std::size_t size_ = 0;
};

}  // namespace sockmesh
