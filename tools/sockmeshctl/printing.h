// SPDX-License-Identifier: Apache-2.0
// How a command's end becomes output, once or again and again.
#pragma once

#include <cstdint>
#include <functional>
#include <ostream>

#include "document.h"
#include "output.h"

namespace sockmesh::ctl {

struct Printing {
  Format format = Format::kTable;
  bool headers = true;
};

// Returns the exit code. A failure is also an object with JSON and YAML.
int print(const Outcome& outcome, const Printing& how, std::ostream& out, std::ostream& err);

// A command that is run again and again.
struct Repetition {
  bool on = false;
  double seconds = 2;       // between two runs
  std::uint64_t times = 0;  // 0: until it fails, or nobody reads the output
  bool waits = true;        // between runs; or the command itself takes that long
  bool appends = false;     // rows below rows, without titles again
};

// Runs and prints the command. On a terminal each run takes the place of the one before, unless it
// appends. Returns the last exit code.
int runAndPrint(const std::function<Outcome()>& command, const Repetition& repetition,
                const Printing& how, std::ostream& out, std::ostream& err);

}  // namespace sockmesh::ctl
