// SPDX-License-Identifier: Apache-2.0
// The commands that compare two looks: monitor and top.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "document.h"
#include "printing.h"

namespace sockmesh::ctl {

// Adds them to `app`. `bpffsRoot` is read when a command runs. It and `repetition`, which the
// commands set, outlive `app`. `addInterval` gives a command its --interval and --times. `choose`
// gets the command that was parsed.
void addChangeCommands(CLI::App& app, const std::string& bpffsRoot, Repetition& repetition,
                       const std::function<void(CLI::App*)>& addInterval,
                       const std::function<void(std::function<Outcome()>)>& choose);

}  // namespace sockmesh::ctl
