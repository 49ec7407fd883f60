// SPDX-License-Identifier: Apache-2.0
// sockmeshd: flags, configuration, and the Agent's life.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "ads/grpc_log.h"
#include "base/defaults.h"
#include "base/exit_code.h"
#include "base/free_memory.h"
#include "base/log.h"
#include "base/printable.h"
#include "base/usage_problem.h"
#include "base/version.h"
#include "config/config.h"
#include "daemon/agent.h"

namespace sockmesh {
namespace {

// The control thread reads signals from a descriptor. They are blocked before any thread starts.
void blockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void describe(CLI::App& app, Flags& flags, bool& version) {
  app.add_option("--config", flags.configFile, "configuration, YAML or JSON")->type_name("FILE");
  app.add_option("--xds-address", flags.xdsAddress, "control plane (ADS)")->type_name("HOST:PORT");
  app.add_option("--node-id", flags.nodeId, "xDS node id; default: the name of the host")
      ->type_name("ID");
  app.add_option("--cgroup-root", flags.cgroupRoot,
                 "cgroup v2 directory to attach to; default: the hierarchy's root")
      ->type_name("DIR");
  const auto addOption = [&app](const char* name, auto& value, const std::string& help,
                                const std::string& byDefault) {
    return app.add_option(name, value, help + "; default: " + byDefault);
  };
  addOption("--bpffs-root", flags.bpffsRoot, "where links and maps are pinned", kDefaultBpffsRoot)
      ->type_name("DIR");
  addOption("--admin-address", flags.adminAddress, "probes, metrics and dumps",
            kDefaultAdminAddress)
      ->type_name("IP:PORT");
  addOption("--admin-socket", flags.adminSocket, "Unix socket for changes, or none",
            kDefaultAdminSocket)
      ->type_name("PATH");
  addOption("--log-level", flags.logLevel, logLevels(), kDefaultLogLevel)->type_name("LEVEL");
  for (CLI::Option* option : app.get_options()) {
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  app.add_flag("--cleanup", flags.cleanup, "detach the programs, remove maps and pins, and exit");
  app.add_flag("--version", version, "print the version and exit");
}

int fail(int code, const Error& error) {
  std::fprintf(stderr, "sockmeshd: %s\n", printable(error.message()).c_str());
  return code;
}

int run(const Flags& flags) {
  auto config = loadConfig(flags);
  if (!config) return fail(kExitBadData, config.error());
  if (auto ok = configureLogging(config->logLevel, config->logJson); !ok) {
    return fail(kExitBadData, ok.error());
  }
  if (flags.cleanup) {
    const std::string& bpffs = config->datapath.bpffsRoot;
    const auto removed = Datapath::cleanup(bpffs);
    if (!removed) return fail(kExitFailure, removed.error());
    for (const std::string& line : removed->lines(bpffs)) std::printf("%s\n", line.c_str());
    return 0;
  }
  blockSignals();
  returnLargeBlocks();
  routeGrpcLog();
  auto agent = Agent::create(*config);
  if (!agent) return fail(kExitFailure, agent.error());
  if (auto ended = (*agent)->run(); !ended) return fail(kExitFailure, ended.error());
  return 0;
}

}  // namespace
}  // namespace sockmesh

int main(int argc, char** argv) {
  CLI::App app(
      "sockmeshd: the sockmesh node agent. It balances connect() to service addresses in\n"
      "the kernel, from what an xDS control plane says. SIGTERM ends the agent and leaves\n"
      "the datapath in place; --cleanup removes it.",
      "sockmeshd");
  sockmesh::Flags flags;
  bool version = false;
  sockmesh::describe(app, flags, version);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    const std::string problem = sockmesh::usageProblem(app, error) + " (see sockmeshd --help)";
    return sockmesh::fail(sockmesh::kExitUsage, sockmesh::Error(problem));
  }
  if (version) {
    std::printf("sockmeshd %s\n", sockmesh::version());
    return 0;
  }
  return sockmesh::run(flags);
}
