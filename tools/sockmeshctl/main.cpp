// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <vector>

#include "cli.h"

int main(int argc, char** argv) {
  return sockmesh::ctl::runCli(std::vector<std::string>(argv + 1, argv + argc), std::cout,
                               std::cerr);
}
