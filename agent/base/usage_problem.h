// What is wrong with a command line, in a line that helps.
#pragma once

#include <string>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace sockmesh {

// `error` came from parsing a command line with `app`. Names the word or flag that is not known,
// with the most similar one that is: `unknown command "servce", did you mean service?`. One line.
std::string usageProblem(const CLI::App& app, const CLI::ParseError& error);

}  // namespace sockmesh
