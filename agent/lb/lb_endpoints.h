// SPDX-License-Identifier: Apache-2.0
// The endpoints of a cluster, as people, the writer and the detector see them. The list is a view
// of the assignment that the control plane sent, and shares it: a cluster's endpoints are in memory
// once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/breather.h"
#include "model/assignment.h"

namespace sockmesh {

struct LbEndpoint {
  SocketAddress address;
  SharedLocality locality;
  std::uint32_t priority = 0;
  std::uint32_t weight = 1;
  EdsHealth health = EdsHealth::kUnknown;
  std::optional<SocketAddress> otherAddress{};  // of the other family
  auto operator<=>(const LbEndpoint&) const = default;
};

// Immutable, cheap to copy. Iteration gives values.
class LbEndpoints {
 public:
  class const_iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = LbEndpoint;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = LbEndpoint;

    const_iterator() = default;
    LbEndpoint operator*() const {
      const LocalityEndpoints& group = groups_[group_];
      const Endpoint& one = group.endpoints[endpoint_];
      return {one.address, group.locality, group.priority,
              one.weight,  one.health,     one.otherAddress};
    }
    const_iterator& operator++() {
      ++endpoint_;
      skipEmpty();
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const const_iterator&) const = default;

   private:
    friend class LbEndpoints;
    const_iterator(const std::vector<LocalityEndpoints>& groups, std::size_t group)
        : groups_(groups.data()), size_(groups.size()), group_(group) {
      skipEmpty();
    }
    void skipEmpty() {
      while (group_ < size_ && endpoint_ == groups_[group_].endpoints.size()) {
        ++group_;
        endpoint_ = 0;
      }
    }

    const LocalityEndpoints* groups_ = nullptr;
    std::size_t size_ = 0;
    std::size_t group_ = 0;
    std::size_t endpoint_ = 0;
  };

  LbEndpoints() = default;
  // All endpoints of the assignment, in its order. Null: none.
  explicit LbEndpoints(std::shared_ptr<const LoadAssignment> assignment)
      : assignment_(std::move(assignment)) {}
  // Endpoints of no assignment, in this order.
  explicit LbEndpoints(const std::vector<LbEndpoint>& endpoints);

  const_iterator begin() const { return {groups(), 0}; }
  const_iterator end() const { return {groups(), groups().size()}; }
  std::size_t size() const { return assignment_ ? assignment_->endpointCount() : 0; }
  bool empty() const { return size() == 0; }
  // What the list shows; null where it is empty.
  const std::shared_ptr<const LoadAssignment>& assignment() const { return assignment_; }

  // Whether both have the same endpoints in the same order.
  bool operator==(const LbEndpoints& other) const;
  bool sameAs(const LbEndpoints& other, Breather& breathe) const;

 private:
  const std::vector<LocalityEndpoints>& groups() const {
    static const std::vector<LocalityEndpoints> kNone;
    return assignment_ ? assignment_->localities : kNone;
  }

  std::shared_ptr<const LoadAssignment> assignment_;
};

}  // namespace sockmesh
