// SPDX-License-Identifier: Apache-2.0
#include "support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/eventually.h"

namespace sockmesh::test {

std::string binary(const std::string& name) {
  static const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  return self.parent_path().parent_path() / "bin" / name;
}

Process::Process(const std::vector<std::string>& arguments, std::string logFile)
    : logFile_(std::move(logFile)) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nobody behind
  const int log = open(logFile_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execvp(argv[0], argv.data());
  perror(argv[0]);
  _exit(127);
}

Process::~Process() {
  if (!running()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Process::signal(int number) const {
  kill(pid_, number);
}

bool Process::running() {
  if (pid_ < 0 || status_ >= 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

int Process::wait(std::chrono::milliseconds patience) {
  return eventually([&] { return !running(); }, patience) ? status_ : -1;
}

std::string Process::log() const {
  std::ifstream file(logFile_);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool Process::awaitLog(const std::string& text, std::chrono::milliseconds patience) const {
  return eventually([&] { return log().find(text) != std::string::npos; }, patience);
}

Ran run(const std::vector<std::string>& arguments) {
  std::string path = "/tmp/sockmesh-run-XXXXXX";
  const int fd = mkstemp(path.data());
  close(fd);
  Ran ran;
  {
    Process process(arguments, path);
    ran.code = process.wait(std::chrono::seconds(30));
    ran.output = process.log();
  }
  unlink(path.c_str());
  return ran;
}

}  // namespace sockmesh::test
