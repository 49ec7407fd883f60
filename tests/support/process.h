// SPDX-License-Identifier: Apache-2.0
// Child processes of tests: the product's own binaries, with their stderr kept.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace sockmesh::test {

// The product's binary of this build: "sockmeshd" -> BUILD/bin/sockmeshd. The path of the build is
// kept from the first call, because a process in its own mount namespace cannot always find its
// path.
std::string binary(const std::string& name);

class Process {
 public:
  // Starts `arguments` (the first is the binary's path); stdout and stderr go to `logFile`,
  // appended.
  Process(const std::vector<std::string>& arguments, std::string logFile);
  // Kills and reaps it.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Waits for its end: the exit code, 128 + signal, or -1 if `patience` is over.
  int wait(std::chrono::milliseconds patience = std::chrono::seconds(10));
  bool running();
  std::string log() const;
  // Waits until the log holds `text`.
  bool awaitLog(const std::string& text,
                std::chrono::milliseconds patience = std::chrono::seconds(10)) const;

 private:
  pid_t pid_ = -1;
  int status_ = -1;
  std::string logFile_;
};

// Runs to the end: exit code and everything it printed.
struct Ran {
  int code = -1;
  std::string output;
};
Ran run(const std::vector<std::string>& arguments);

}  // namespace sockmesh::test
