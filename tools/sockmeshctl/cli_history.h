// SPDX-License-Identifier: Apache-2.0
// The commands about the agent's audit log: history and diff.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "document.h"

namespace sockmesh::ctl {

// Adds them to `app`. `adminAddress` is read when a command runs, and outlives `app`. `choose` gets
// the command that was parsed.
void addHistoryCommands(CLI::App& app, const std::string& adminAddress,
                        const std::function<void(std::function<Outcome()>)>& choose);

}  // namespace sockmesh::ctl
