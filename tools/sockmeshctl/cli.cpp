// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "agent_client.h"
#include "base/defaults.h"
#include "base/host_port.h"
#include "base/usage_problem.h"
#include "base/version.h"
#include "canary.h"
#include "cli_changes.h"
#include "cli_history.h"
#include "cli_tree.h"
#include "cli_words.h"
#include "commands.h"
#include "maps/kernel_maps.h"
#include "maps/pin_path.h"
#include "output.h"
#include "printing.h"
#include "silent_connect.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

struct GlobalOptions {
  std::string bpffsRoot = kDefaultBpffsRoot;
  std::string adminAddress = kDefaultAdminAddress;
  std::string adminSocket = kDefaultAdminSocket;
  std::string format = "table";
  bool noHeaders = false;
};

struct CommandOptions {
  std::string vip;
  std::uint16_t port = 0;
  std::string name;
  std::string cluster;
  std::string service;
  bool ejected = false;
  bool returned = false;
  std::string map;
  std::string explained;
  std::string source;
  std::string client;
  std::string target;
  int count = 10;
  std::uint32_t samples = 0;
  std::string shell;
  double timeoutSeconds = 3;
  bool rewritten = false;
  std::vector<std::string> levels;
  bool repair = false;
};

Outcome withNode(const GlobalOptions& global, const std::function<Outcome(NodeView&)>& command) {
  auto node = readNode(global.bpffsRoot);
  if (const auto* failure = std::get_if<Failure>(&node)) return *failure;
  return command(std::get<NodeView>(node));
}

class CommandLine {
 public:
  CommandLine()
      : app_("Looks into sockmesh on this node, also while its agent is down.", "sockmeshctl") {
    addGlobals();
    addServiceCommands();
    addRouteCommands();
    addEndpointCommands();
    addEjectionCommands();
    addMapCommands();
    addExplain();
    addConnect();
    addVerify();
    addChangeCommands(
        app_, global_.bpffsRoot, repetition_, [this](CLI::App* command) { addInterval(command); },
        [this](std::function<Outcome()> command) { command_ = std::move(command); });
    addNodeCommands();
    addHistoryCommands(app_, global_.adminAddress,
                       [this](std::function<Outcome()> command) { command_ = std::move(command); });
    addLogCommands();
    addDocuments();
    app_.require_subcommand(1);
    app_.fallthrough();
  }

  // Parses; afterwards run() is the chosen command.
  void parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app_.parse(std::move(arguments));
  }

  CLI::App& app() { return app_; }
  const GlobalOptions& global() const { return global_; }
  Outcome run() const { return command_(); }
  const Repetition& repetition() const { return repetition_; }

 private:
  void addGlobals() {
    app_.set_version_flag("--version", std::string("sockmeshctl ") + version());
    app_.add_option("--bpffs-root", global_.bpffsRoot, "where bpffs is mounted")
        ->capture_default_str();
    app_.add_option("--admin-address", global_.adminAddress, "the agent's admin address")
        ->check(CLI::Validator(checkAddress, "IP:PORT"))
        ->capture_default_str();
    app_.add_option("--admin-socket", global_.adminSocket, "the agent's Unix socket, for changes")
        ->type_name("PATH")
        ->capture_default_str();
    app_.add_option("-o,--output", global_.format, "output format")
        ->check(oneOf({"table", "wide", "json", "yaml"}))
        ->capture_default_str();
    app_.add_flag("--no-headers", global_.noHeaders, "tables without column titles");
  }

  // The kernel's view with the names that the agent knows, if it answers.
  Outcome withNames(const std::function<Outcome(const NodeView&)>& command) const {
    return withNode(global_, [&](NodeView& view) {
      view.names = askNames(global_.adminAddress);
      return command(view);
    });
  }

  CLI::App* parentCommand(const std::string& name, const std::string& help) {
    CLI::App* app = app_.add_subcommand(name, help);
    app->require_subcommand(1);
    app->fallthrough();
    return app;
  }

  void addInterval(CLI::App* command) {
    static const std::map<std::string, double> kUnits = {{"ms", 0.001}, {"s", 1}, {"m", 60}};
    command
        ->add_option("--interval", repetition_.seconds,
                     "time between two looks: 500ms, 2s, 1m, or a number of seconds")
        ->check(CLI::Range(0.01, 86400.0).description(""))
        ->transform(CLI::AsNumberWithUnit(kUnits).description(""))
        ->type_name("TIME")
        ->capture_default_str();
    command->add_option("--times", repetition_.times, "end after this many; 0: go on and on")
        ->capture_default_str();
  }

  void addWatch(CLI::App* command) {
    command->add_flag("-w,--watch", repetition_.on, "show it again and again");
    addInterval(command);
  }

  void addServiceCommands() {
    CLI::App* service = parentCommand("service", "virtual addresses and where they lead");
    CLI::App* list = service->add_subcommand("list", "list services");
    list->fallthrough();
    addServiceGet(service);
    addWatch(list);
    list->add_option("--vip", options_.vip, "only this address")
        ->check(CLI::Validator(checkIp, "IP"));
    list->add_option("--port", options_.port, "only this port")->check(CLI::Range(1, 65535));
    list->add_option("--name", options_.name, "only services whose name contains this text");
    list->callback([this, list] {
      ServiceFilter filter;
      if (list->count("--vip") > 0) filter.vip = IpAddress::parse(options_.vip).value();
      if (list->count("--port") > 0) filter.port = options_.port;
      filter.name = options_.name;
      command_ = [this, filter] {
        return withNames([&](const NodeView& view) { return serviceList(view, filter); });
      };
    });
  }

  void addServiceGet(CLI::App* service) {
    CLI::App* get = service->add_subcommand("get", "show one service");
    get->fallthrough();
    addWatch(get);
    get->add_option("VIP:PORT", options_.explained, "its address")
        ->required()
        ->check(CLI::Validator(checkAddress, "VIP:PORT"));
    get->callback([this] {
      command_ = [this, vip = SocketAddress::parse(options_.explained).value()] {
        return withNames([&](const NodeView& view) { return serviceGet(view, vip); });
      };
    });
  }

  void addRouteCommands() {
    CLI::App* route = parentCommand("route", "how the control plane's routes lead to services");
    CLI::App* list = route->add_subcommand(
        "list", "list which listener, filter chain, virtual host and route made each VIP");
    list->fallthrough();
    addWatch(list);
    list->add_option("--vip", options_.vip, "only this address")
        ->check(CLI::Validator(checkIp, "IP"));
    list->add_option("--port", options_.port, "only this port")->check(CLI::Range(1, 65535));
    list->add_option("--name", options_.name, "only names that contain this");
    list->callback([this, list] {
      RouteFilter filter;
      if (list->count("--vip") > 0) filter.vip = IpAddress::parse(options_.vip).value();
      if (list->count("--port") > 0) filter.port = options_.port;
      filter.name = options_.name;
      command_ = [this, filter] { return routeList(askRoutes(global_.adminAddress, ""), filter); };
    });
  }

  void addEndpointCommands() {
    CLI::App* endpoint = parentCommand("endpoint", "the endpoints behind services");
    CLI::App* list =
        endpoint->add_subcommand("list", "list endpoints, their shares and their outcomes");
    list->fallthrough();
    addWatch(list);
    list->add_option("--cluster", options_.cluster, "only endpoints of this cluster");
    list->add_option("--service", options_.service,
                     "only endpoints that a connection to VIP:PORT may reach")
        ->check(CLI::Validator(checkAddress, "VIP:PORT"));
    list->add_flag("--ejected", options_.ejected, "only ejected endpoints");
    list->callback([this, list] {
      EndpointFilter filter;
      filter.cluster = options_.cluster;
      filter.ejected = options_.ejected;
      if (list->count("--service") > 0) {
        filter.service = SocketAddress::parse(options_.service).value();
      }
      command_ = [this, filter] {
        return withNames([&](const NodeView& view) { return endpointList(view, filter); });
      };
    });
  }

  void addEjectionCommands() {
    CLI::App* ejection =
        parentCommand("ejection", "endpoints that outlier detection took out of rotation");
    CLI::App* list =
        ejection->add_subcommand("list", "list ejected endpoints: why, since when, until when");
    list->fallthrough();
    addWatch(list);
    list->add_option("--cluster", options_.cluster, "only endpoints of this cluster");
    list->add_flag("--returned", options_.returned,
                   "also endpoints that were ejected and are back in rotation");
    list->callback([this] {
      command_ = [this, filter = EjectionFilter{options_.cluster, options_.returned}] {
        return withNode(global_, [&](const NodeView& view) { return ejectionList(view, filter); });
      };
    });
  }

  void addMapCommands() {
    CLI::App* map = parentCommand("map", "the maps as they are in the kernel");
    CLI::App* list = map->add_subcommand("list", "list maps: kind, entries, memory");
    list->fallthrough();
    addWatch(list);
    list->callback([this] { command_ = [this] { return withNode(global_, mapList); }; });
    CLI::App* dump = map->add_subcommand("dump", "show a map's entries, decoded");
    dump->fallthrough();
    addWatch(dump);
    dump->add_option("NAME", options_.map, "a name from `map list`")
        ->required()
        ->check(oneOf(kMapNames));
    dump->footer(kMapDumpHelp);
    dump->callback([this] {
      command_ = [this] {
        return withNode(global_, [&](NodeView& view) {
          const bool ofSockets = options_.map == "connections" || options_.map == "conn_overflow";
          if (ofSockets) view.sockets = readTcpSockets();
          return mapDump(view, options_.map);
        });
      };
    });
  }

  void addExplain() {
    CLI::App* explain = app_.add_subcommand("explain", "what happens to a connect() to VIP:PORT");
    explain->fallthrough();
    explain
        ->add_option("VIP:PORT", options_.explained,
                     "a VIP of `service list`, or any other address")
        ->required()
        ->check(CLI::Validator(checkAddress, "VIP:PORT"));
    explain
        ->add_option("--source", options_.source,
                     "the endpoint that a client with this address gets by its hash")
        ->check(CLI::Validator(checkIp, "IP"));
    explain
        ->add_option("--client", options_.client,
                     "also what this client has ejected for itself (pod:ID, netns:COOKIE, uid:ID)")
        ->check(CLI::Validator(checkClient, "CLIENT"));
    explain
        ->add_option("--samples", options_.samples,
                     "where this many connects from here lead; none sends a packet, each counts as "
                     "a selection")
        ->check(CLI::Range(1, 1000000));
    explain->callback([this, explain] {
      ExplainQuery query;
      query.vip = SocketAddress::parse(options_.explained).value();
      if (explain->count("--source") > 0) query.source = IpAddress::parse(options_.source).value();
      query.client = options_.client;
      const bool sampled = explain->count("--samples") > 0;
      command_ = [this, query, sampled]() mutable {
        if (sampled) query.samples = connectSilently(query.vip, options_.samples);
        return withNames([&](const NodeView& view) {
          const auto routes = askRoutes(global_.adminAddress, options_.explained);
          return ctl::explain(view, askAgent(global_.adminAddress), routes, query);
        });
      };
    });
  }

  void addConnect() {
    CLI::App* connect = app_.add_subcommand("connect", "where connections from here really lead");
    connect->fallthrough();
    connect->add_option("HOST:PORT", options_.target, "a VIP, or a name that stands for one")
        ->required()
        ->check(CLI::Validator(checkHostPort, "HOST:PORT"));
    connect->add_option("--count", options_.count, "how many connections, one after the other")
        ->check(CLI::Range(1, 1000000))
        ->capture_default_str();
    connect->add_option("--timeout", options_.timeoutSeconds, "seconds for each")
        ->check(CLI::Range(0.001, 3600.0))
        ->capture_default_str();
    connect->add_flag("--rewritten", options_.rewritten,
                      "fail if a connection leads to the address itself");
    connect->footer(kConnectHelp);
    connect->callback([this] { command_ = [this] { return connectFromHere(); }; });
  }

  Outcome connectFromHere() const {
    const auto timeout =
        std::chrono::milliseconds(static_cast<std::int64_t>(options_.timeoutSeconds * 1000));
    const auto report = probe(parseHostPort(options_.target).value(), options_.count, timeout);
    if (!report) return Failure{kExitFailure, report.error().message()};
    return connectReport(*report, options_.target, options_.rewritten);
  }

  void addVerify() {
    CLI::App* verify = app_.add_subcommand(
        "verify", "whether the kernel holds what the control plane said; exit code 79 if not");
    verify->fallthrough();
    verify->add_flag("--repair", options_.repair,
                     "where they differ, the agent writes its tables again; as root");
    verify->callback([this] {
      command_ = [this] {
        Verification all{askVerification(global_.adminAddress), std::nullopt, std::nullopt};
        if (options_.repair && hasDifferences(all.first)) {
          all.repair = askRepair(global_.adminSocket);
          if (all.repair->status == 200) all.second = askVerification(global_.adminAddress);
        }
        return verification(all);
      };
    });
  }

  void addNodeCommands() {
    CLI::App* status = app_.add_subcommand("status", "state of programs, services, maps and agent");
    status->fallthrough();
    addWatch(status);
    status->callback([this] {
      command_ = [this] {
        return withNode(global_, [&](NodeView& view) {
          view.canaries = tryCanaries(view.image, view.attachments);
          return ctl::status(view, askAgent(global_.adminAddress));
        });
      };
    });
    CLI::App* versions =
        app_.add_subcommand("version", "the versions of sockmeshctl and of the agent");
    versions->fallthrough();
    versions->callback(
        [this] { command_ = [this] { return versionOf(askAgent(global_.adminAddress)); }; });
  }

  void addLogCommands() {
    CLI::App* log = parentCommand("log", "the agent's log levels");
    CLI::App* list = log->add_subcommand("list", "list the level of each scope");
    list->fallthrough();
    list->callback(
        [this] { command_ = [this] { return logLevelsOf(readLogging(global_.adminAddress)); }; });
    CLI::App* set = log->add_subcommand("set", "change levels, as root, until the agent ends");
    set->fallthrough();
    set->add_option("LEVEL", options_.levels, "LEVEL for all scopes, or SCOPE=LEVEL")->required();
    set->callback([this] {
      command_ = [this] {
        return logLevelsOf(changeLogging(global_.adminSocket, options_.levels));
      };
    });
  }

  void addDocuments() {
    CLI::App* completion =
        app_.add_subcommand("completion", "a script that teaches a shell to complete this command");
    completion->fallthrough();
    completion->add_option("SHELL", options_.shell, "the shell")
        ->required()
        ->check(oneOf({"bash", "zsh", "fish"}));
    completion->footer("  source <(sockmeshctl completion bash)");
    completion->callback([this] {
      command_ = [this]() -> Outcome {
        return PlainText{completionScript(treeOf(app_), options_.shell)};
      };
    });
    CLI::App* man = app_.add_subcommand("man", "the manual page, for man(1): `man -l FILE`");
    man->fallthrough();
    man->callback([this] {
      command_ = [this]() -> Outcome { return PlainText{manPage(treeOf(app_), version())}; };
    });
  }

  CLI::App app_;
  GlobalOptions global_;
  CommandOptions options_;
  Repetition repetition_;
  std::function<Outcome()> command_;
};

}  // namespace

int runCli(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CommandLine line;
  try {
    line.parse(arguments);
  } catch (const CLI::Success& help) {
    return line.app().exit(help, out, err);
  } catch (const CLI::ParseError& error) {
    err << "sockmeshctl: " << usageProblem(line.app(), error) << " (see sockmeshctl --help)\n";
    return kExitUsage;
  }
  const Printing how{parseFormat(line.global().format).value_or(Format::kTable),
                     !line.global().noHeaders};
  return runAndPrint([&line] { return line.run(); }, line.repetition(), how, out, err);
}

}  // namespace sockmesh::ctl
