// SPDX-License-Identifier: Apache-2.0
// The longer texts of the command line, and checks of its values.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace sockmesh::ctl {

inline constexpr const char* kConnectHelp =
    "Connects as an application would, from here. ENDPOINT is where TCP itself is connected to: "
    "if\n"
    "sockmesh balances the address, that is an endpoint and not the address. The command needs no\n"
    "privileges and no agent, so it also runs in a pod.\n"
    "  sockmeshctl connect reviews.shop.svc:9080 --count 30";

inline constexpr const char* kMapDumpHelp =
    "From a line of `ss -tne` to its row in `map dump connections`: sk:1011 is in column SK, the\n"
    "local address in LOCAL, ino: in INODE. The peer is the ENDPOINT, since a socket knows no "
    "VIP.\n"
    "  sockmeshctl map dump connections | grep -w sk:1011\n"
    "  sockmeshctl map dump connections | grep -F 10.244.1.9:43210\n"
    "From a row to its line: NETNS is the network namespace of the socket.\n"
    "  nsenter --net=NETNS-PATH ss -tne\n"
    "LOCAL, INODE and NETNS are \"-\" where the socket is gone, or its namespace cannot be "
    "entered.";

// "" if the text is right, or what is wrong.
std::string checkAddress(const std::string& text);   // IP:PORT
std::string checkHostPort(const std::string& text);  // HOST:PORT
std::string checkIp(const std::string& text);
std::string checkClient(const std::string& text);  // as `ejection list` names clients

// Accepts one of these words. The error for another word suggests the word that was probably meant.
CLI::Validator oneOf(const std::vector<std::string>& words);

}  // namespace sockmesh::ctl
