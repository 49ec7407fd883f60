// SPDX-License-Identifier: Apache-2.0
// Describes what is wrong with a command line, in one helpful line.
#pragma once

#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace sockmesh {

// `error` came from parsing a command line with `app`. Names the unknown word or flag, with the
// most similar known one: `unknown command "servce", did you mean service?`. One line.
std::string usageProblem(const CLI::App& app, const CLI::ParseError& error);

}  // namespace sockmesh
