// SPDX-License-Identifier: Apache-2.0
#include "cli_history.h"

#include <ctime>
#include <memory>

#include "agent_client.h"
#include "history.h"

namespace sockmesh::ctl {
namespace {

struct Options {
  std::string file;
  std::string resource;
  std::string since;
  std::string from;
  std::string to;
};

using Command = std::function<Outcome(const std::string& path)>;

Outcome withHistory(const std::string& file, const std::string& adminAddress,
                    const Command& command) {
  if (!file.empty()) return command(file);
  const auto path = auditLogOf(askAgent(adminAddress));
  if (!path) return Failure{kExitUnavailable, path.error().message()};
  return command(*path);
}

Outcome listed(const Options& options, const std::string& path) {
  HistoryFilter filter{"", options.resource};
  if (options.since.empty()) return history(path, filter);
  const auto since = sinceOf(options.since, std::time(nullptr));
  if (!since) return Failure{kExitUsage, "--since: " + since.error().message()};
  filter.since = *since;
  return history(path, filter);
}

CLI::App* addCommand(CLI::App& app, const std::string& name, const std::string& help,
                     Options& options) {
  CLI::App* command = app.add_subcommand(name, help);
  command->fallthrough();
  command->add_option("--file", options.file, "the audit log; default: the agent says where")
      ->type_name("PATH");
  return command;
}

}  // namespace

void addHistoryCommands(CLI::App& app, const std::string& adminAddress,
                        const std::function<void(std::function<Outcome()>)>& choose) {
  const auto options = std::make_shared<Options>();
  CLI::App* list = addCommand(
      app, "history", "what the control plane sent and changed: the agent's audit log", *options);
  list->add_option("RESOURCE", options->resource, "only resources whose name contains this");
  list->add_option("--since", options->since, "nothing older than this: 10m, 2h, 3d, or a time")
      ->type_name("TIME");
  list->callback([options, &adminAddress, choose] {
    choose([options, &adminAddress] {
      return withHistory(options->file, adminAddress,
                         [options](const std::string& path) { return listed(*options, path); });
    });
  });
  CLI::App* diff =
      addCommand(app, "diff", "what differs between two versions of `history`", *options);
  diff->add_option("A", options->from, "an ID of `history`, or a version")->required();
  diff->add_option("B", options->to, "the same; default: the last one");
  diff->callback([options, &adminAddress, choose] {
    choose([options, &adminAddress] {
      return withHistory(options->file, adminAddress, [options](const std::string& path) {
        return historyDiff(path, options->from, options->to);
      });
    });
  });
}

}  // namespace sockmesh::ctl
