// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <ostream>

#include "agent_client.h"
#include "base/defaults.h"
#include "base/host_port.h"
#include "base/printable.h"
#include "base/suggestion.h"
#include "base/usage_problem.h"
#include "base/version.h"
#include "commands.h"
#include "datapath/kernel_maps.h"
#include "datapath/pin_path.h"
#include "output.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

constexpr const char* kConnectHelp =
    "Connects as an application would, from here. ENDPOINT is where TCP itself is connected to: "
    "if\n"
    "sockmesh balances the address, that is an endpoint and not the address. The command needs no\n"
    "privileges and no agent, so it also runs in a pod.\n"
    "  sockmeshctl connect reviews.shop.svc:9080 --count 30";

constexpr const char* kMapDumpHelp =
    "From a line of `ss -tne` to its row in `map dump connections`: sk:1011 is in column SK, the\n"
    "local address in LOCAL, ino: in INODE. The peer is the ENDPOINT, since a socket knows no "
    "VIP.\n"
    "  sockmeshctl map dump connections | grep -w sk:1011\n"
    "  sockmeshctl map dump connections | grep -F 10.244.1.9:43210\n"
    "From a row to its line: NETNS is the network namespace of the socket.\n"
    "  nsenter --net=NETNS-PATH ss -tne\n"
    "LOCAL, INODE and NETNS are \"-\" where the socket is gone, or its namespace cannot be "
    "entered.";

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

std::string checkAddress(const std::string& text) {
  const auto parsed = SocketAddress::parse(text);
  return parsed ? "" : parsed.error().message();
}

std::string checkHostPort(const std::string& text) {
  const auto parsed = parseHostPort(text);
  return parsed ? "" : parsed.error().message();
}

std::string checkIp(const std::string& text) {
  const auto parsed = IpAddress::parse(text);
  return parsed ? "" : parsed.error().message();
}

std::string checkClient(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string number = colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool isNumber =
      !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  if (text == "others" || (isNumber && (kind == "pod" || kind == "netns" || kind == "uid"))) {
    return "";
  }
  return "'" + text + "' is no client: pod:ID, netns:COOKIE or uid:ID, as `ejection list` names it";
}

// Accepts one of these words. The error for another word suggests the word that was probably meant.
CLI::Validator oneOf(const std::vector<std::string>& words) {
  const auto check = [words](const std::string& text) -> std::string {
    if (std::find(words.begin(), words.end(), text) != words.end()) return "";
    const std::string hint = didYouMean(text, words);
    return "unknown \"" + text + "\"" + (hint.empty() ? "; known are " + join(words, ", ") : hint);
  };
  return {check, "{" + join(words, ",") + "}"};
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
    addNodeCommands();
    addLogCommands();
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

  CLI::App* parentCommand(const std::string& name, const std::string& help) {
    CLI::App* app = app_.add_subcommand(name, help);
    app->require_subcommand(1);
    app->fallthrough();
    return app;
  }

  void addServiceCommands() {
    CLI::App* service = parentCommand("service", "virtual addresses and where they lead");
    CLI::App* list = service->add_subcommand("list", "list services");
    list->fallthrough();
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
        return withNode(global_, [&](const NodeView& view) { return serviceList(view, filter); });
      };
    });
  }

  void addRouteCommands() {
    CLI::App* route = parentCommand("route", "how the control plane's routes lead to services");
    CLI::App* list = route->add_subcommand(
        "list", "list which listener, filter chain, virtual host and route made each VIP");
    list->fallthrough();
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
        return withNode(global_, [&](const NodeView& view) { return endpointList(view, filter); });
      };
    });
  }

  void addEjectionCommands() {
    CLI::App* ejection =
        parentCommand("ejection", "endpoints that outlier detection took out of rotation");
    CLI::App* list =
        ejection->add_subcommand("list", "list ejected endpoints: why, since when, until when");
    list->fallthrough();
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
    list->callback([this] { command_ = [this] { return withNode(global_, mapList); }; });
    CLI::App* dump = map->add_subcommand("dump", "show a map's entries, decoded");
    dump->fallthrough();
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
    explain->callback([this, explain] {
      ExplainQuery query;
      query.vip = SocketAddress::parse(options_.explained).value();
      if (explain->count("--source") > 0) query.source = IpAddress::parse(options_.source).value();
      query.client = options_.client;
      command_ = [this, query] {
        return withNode(global_, [&](const NodeView& view) {
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
    status->callback([this] {
      command_ = [this] {
        return withNode(global_, [&](const NodeView& view) {
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

  CLI::App app_;
  GlobalOptions global_;
  CommandOptions options_;
  std::function<Outcome()> command_;
};

bool isForMachines(Format format) {
  return format == Format::kJson || format == Format::kYaml;
}

// With JSON output a failure is also JSON.
int fail(const Failure& failure, Format format, std::ostream& out, std::ostream& err) {
  if (isForMachines(format)) {
    const Document document{
        "Failure", {{"exitCode", failure.exitCode}, {"message", failure.message}}, {}};
    out << render(document, format, true) << std::flush;
  }
  err << "sockmeshctl: " << printable(failure.message) << "\n";
  return failure.exitCode;
}

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
  const Outcome outcome = line.run();
  const Format format = parseFormat(line.global().format).value_or(Format::kTable);
  if (const auto* failure = std::get_if<Failure>(&outcome)) {
    return fail(*failure, format, out, err);
  }
  const auto& document = std::get<Document>(outcome);
  out << render(document, format, !line.global().noHeaders) << std::flush;
  if (!out) {
    err << "sockmeshctl: writing the output failed\n";
    return kExitFailure;
  }
  return document.exitCode;
}

}  // namespace sockmesh::ctl
