// SPDX-License-Identifier: Apache-2.0
// The command line: parses, reads what the command needs, prints.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace sockmesh::ctl {

// Runs one command line (without the program's name) and returns its exit code. Data goes to
// `out`, messages to `err`.
int runCli(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace sockmesh::ctl
