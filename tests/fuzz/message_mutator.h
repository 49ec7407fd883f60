// SPDX-License-Identifier: Apache-2.0
// Changes one thing in a protobuf message, so that the result is a message again. A change of bytes
// alone would mostly end in the parser of protobuf.
#pragma once

#include <google/protobuf/message.h>

#include <random>

namespace sockmesh::fuzz {

// Somewhere in `message`, also inside of an Any of a known type: a field is cleared, set, doubled,
// removed or swapped with its neighbour.
void mutate(google::protobuf::Message& message, std::minstd_rand& random);

}  // namespace sockmesh::fuzz
