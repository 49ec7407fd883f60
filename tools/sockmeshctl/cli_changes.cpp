// SPDX-License-Identifier: Apache-2.0
#include "cli_changes.h"

#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "changes.h"
#include "cli_words.h"
#include "inspect/attachment_info.h"
#include "selection_feed.h"
#include "text.h"

namespace sockmesh::ctl {
namespace {

constexpr const char* kMonitorHelp =
    "Counters are read, and nothing is switched on, except with --selections: then the programs\n"
    "show selections for as long as this command runs. Selections that come faster than they are\n"
    "read are counted as not shown.";

using Chooser = std::function<void(std::function<Outcome()>)>;

// What both commands share: what was parsed, and the look before.
struct Changes {
  const std::string& bpffsRoot;
  Repetition& repetition;
  std::string service;
  ChangeFilter filter{};
  bool selections = false;
  std::uint32_t oneIn = 1;
  std::optional<NodeView> before{};
  std::unique_ptr<SelectionFeed> feed{};

  void begin() {
    repetition.on = true;
    repetition.waits = false;
    if (!service.empty()) filter.service = SocketAddress::parse(service).value();
  }

  // What has to be there before the first pause.
  std::optional<Failure> prepare() {
    if (!before) {
      auto node = readNode(bpffsRoot);
      if (const auto* failure = std::get_if<Failure>(&node)) return *failure;
      before = std::move(std::get<NodeView>(node));
    }
    if (!selections || feed) return std::nullopt;
    auto started = SelectionFeed::start(bpffsRoot, oneIn);
    if (!started) return Failure{kExitUnavailable, started.error().message()};
    feed = std::move(started).value();
    return std::nullopt;
  }

  using Command = std::function<Outcome(const NodeView&, NodeView&)>;
  // Two looks, `--interval` apart. The second one is the first one of the next call.
  Outcome compare(const Command& command) {
    if (const auto failure = prepare()) return *failure;
    std::this_thread::sleep_for(std::chrono::duration<double>(repetition.seconds));
    auto node = readNode(bpffsRoot);
    if (const auto* failure = std::get_if<Failure>(&node)) return *failure;
    NodeView& after = std::get<NodeView>(node);
    return finish(command, std::move(after));
  }

  Outcome monitor() {
    return compare([this](const NodeView& from, NodeView& to) -> Outcome {
      if (!feed) return ctl::monitor(from, to, filter, utcNow());
      const auto watched = feed->take();
      if (!watched) return Failure{kExitUnavailable, watched.error().message()};
      namePods(watched->selections, to);
      return ctl::monitor(from, to, filter, utcNow(), &*watched);
    });
  }

 private:
  Outcome finish(const Command& command, NodeView after) {
    Outcome outcome = command(*before, after);
    before = std::move(after);
    return outcome;
  }

  static void namePods(const std::vector<sm_selection>& selections, NodeView& view) {
    for (const sm_selection& one : selections) {
      const std::uint64_t id = one.client & ~SM_CLIENT_KIND;
      if ((one.client & SM_CLIENT_KIND) != SM_CLIENT_IS_POD || view.cgroupPaths.contains(id)) {
        continue;
      }
      view.cgroupPaths[id] = cgroupPath(id);
    }
  }
};

void addFilters(CLI::App* command, Changes& changes) {
  command->fallthrough();
  command->add_option("--cluster", changes.filter.cluster, "only endpoints of this cluster");
  command
      ->add_option("--service", changes.service,
                   "only endpoints that a connection to VIP:PORT may reach")
      ->check(CLI::Validator(checkAddress, "VIP:PORT"));
}

void addSelections(CLI::App* monitor, Changes& changes) {
  CLI::Option* selections = monitor->add_flag("--selections", changes.selections,
                                              "also single selections: of connect() and of UDP "
                                              "flows; as root");
  monitor->add_option("--sample", changes.oneIn, "show one selection in so many")
      ->needs(selections)
      ->check(CLI::Range(std::uint32_t{1}, std::numeric_limits<std::uint32_t>::max()))
      ->type_name("N")
      ->capture_default_str();
  monitor
      ->add_option("--client", changes.filter.client,
                   "only selections of this client: pod:ID, netns:COOKIE or uid:ID")
      ->needs(selections)
      ->check(CLI::Validator(checkClient, "CLIENT"));
  monitor
      ->add_option("--pod", changes.filter.pod,
                   "only selections of the pod whose cgroup has this in its path, as the pod's UID")
      ->needs(selections)
      ->type_name("TEXT");
  monitor->add_option("--event", changes.filter.events, "only these events; may be repeated")
      ->check(oneOf(kMonitorEvents))
      ->type_name("EVENT");
}

}  // namespace

void addChangeCommands(CLI::App& app, const std::string& bpffsRoot, Repetition& repetition,
                       const std::function<void(CLI::App*)>& addInterval, const Chooser& choose) {
  const auto changes = std::make_shared<Changes>(bpffsRoot, repetition);
  CLI::App* monitor =
      app.add_subcommand("monitor", "selections, failures and ejections as they happen");
  addFilters(monitor, *changes);
  addSelections(monitor, *changes);
  addInterval(monitor);
  monitor->footer(kMonitorHelp);
  monitor->callback([changes, choose] {
    changes->begin();
    changes->repetition.appends = true;
    choose([changes] { return changes->monitor(); });
  });
  CLI::App* top = app.add_subcommand("top", "the endpoints with the most selections a second");
  addFilters(top, *changes);
  addInterval(top);
  top->callback([changes, choose] {
    changes->begin();
    choose([changes] {
      return changes->compare([&](const NodeView& from, const NodeView& to) {
        return ctl::top(from, to, changes->filter);
      });
    });
  });
}

}  // namespace sockmesh::ctl
