// SPDX-License-Identifier: Apache-2.0
// The Linux capabilities of the calling thread. The kernel keeps capabilities per thread: a new
// thread has those of the thread that made it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/result.h"

namespace sockmesh {

class Capabilities {
 public:
  Capabilities() = default;
  // CAP_* of linux/capability.h.
  Capabilities(std::initializer_list<int> capabilities);

  // What the calling thread may do now.
  static Capabilities effective();
  // What a running thread may do, by its /proc/.../status; also of another process.
  static Result<Capabilities> permittedIn(const std::string& statusFile);

  bool has(int capability) const { return (bits_ >> capability & 1) != 0; }
  bool has(const Capabilities& others) const { return (others.bits_ & ~bits_) == 0; }
  Capabilities without(const Capabilities& others) const;
  Capabilities both(const Capabilities& others) const;
  bool empty() const { return bits_ == 0; }
  // "CAP_BPF, CAP_NET_ADMIN". A capability that this build does not know is "CAP_63".
  std::string names() const;
  bool operator==(const Capabilities&) const = default;

 private:
  friend Status limitThread(const Capabilities& keep);
  explicit Capabilities(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t bits_ = 0;
};

// Gives up what the calling thread has beyond `keep`, for ever: also in the ambient, inheritable
// and (if the thread may) the bounding set. Threads that it makes later have no more than it.
Status limitThread(const Capabilities& keep);

}  // namespace sockmesh
