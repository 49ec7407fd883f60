// SPDX-License-Identifier: Apache-2.0
#include "lb/policy/fixed_outcome.h"

namespace sockmesh {
namespace {

class FixedOutcome final : public Policy {
 public:
  explicit FixedOutcome(std::string_view name) : name_(name) {}
  std::string_view name() const override { return name_; }
  Status check(const LbGroup&, std::size_t) const override { return {}; }

 private:
  std::string_view name_;
};

}  // namespace

const Policy& leaveAlonePolicy() {
  static const FixedOutcome policy("LEAVE_ALONE");
  return policy;
}

const Policy& refusePolicy() {
  static const FixedOutcome policy("REFUSE");
  return policy;
}

}  // namespace sockmesh
