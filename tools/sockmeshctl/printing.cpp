// SPDX-License-Identifier: Apache-2.0
#include "printing.h"

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "base/printable.h"

namespace sockmesh::ctl {
namespace {

bool isForMachines(Format format) {
  return format == Format::kJson || format == Format::kYaml;
}

// With JSON output a failure is also JSON.
int fail(const Failure& failure, Format format, std::ostream& out, std::ostream& err) {
  if (isForMachines(format)) {
    const Document document{
        "Failure", {{"exitCode", failure.exitCode}, {"message", failure.message}}, {}};
    out << render(document, format, true) << std::flush;
  }
  err << "sockmeshctl: " << printable(failure.message) << "\n";
  return failure.exitCode;
}

bool isTerminal(const std::ostream& out) {
  return &out == &std::cout && isatty(STDOUT_FILENO) != 0;
}

// Between two runs of a command.
void separate(const Repetition& repetition, const Printing& how, std::ostream& out) {
  if (isForMachines(how.format) || repetition.appends) return;
  constexpr const char* kClear = "\x1b[H\x1b[2J\x1b[3J";
  out << (isTerminal(out) ? kClear : "\n");
}

}  // namespace

int print(const Outcome& outcome, const Printing& how, std::ostream& out, std::ostream& err) {
  if (const auto* failure = std::get_if<Failure>(&outcome)) {
    return fail(*failure, how.format, out, err);
  }
  const auto* plain = std::get_if<PlainText>(&outcome);
  const auto* document = std::get_if<Document>(&outcome);
  out << (plain != nullptr ? plain->text : render(*document, how.format, how.headers))
      << std::flush;
  if (!out) {
    err << "sockmeshctl: writing the output failed\n";
    return kExitFailure;
  }
  return document == nullptr ? kExitOk : document->exitCode;
}

int runAndPrint(const std::function<Outcome()>& command, const Repetition& repetition,
                const Printing& how, std::ostream& out, std::ostream& err) {
  Printing now = how;
  for (std::uint64_t done = 1;; ++done) {
    const Outcome outcome = command();
    if (done > 1) separate(repetition, how, out);
    const int code = print(outcome, now, out, err);
    const bool over = !repetition.on || done == repetition.times;
    if (over || !out || std::holds_alternative<Failure>(outcome)) return code;
    if (repetition.appends) now.headers = false;
    if (repetition.waits) {
      std::this_thread::sleep_for(std::chrono::duration<double>(repetition.seconds));
    }
  }
}

}  // namespace sockmesh::ctl
