// SPDX-License-Identifier: Apache-2.0
// What readers see of the real maps and programs: counters, map usage, attachments, and the CLI's
// whole command lines over them, with no agent running.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "inspect/attachment_info.h"
#include "inspect/live_state.h"
#include "maps/program_names.h"
#include "stats/datapath_collector.h"
#include "stats/exposition.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "support/process.h"
#include "tools/sockmeshctl/cli.h"

namespace sockmesh::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Inspect : public DatapathTest {
 protected:
  // One connection that is established and stays; one that is refused.
  void makeTraffic() {
    backend_ = at("127.0.0.2:0");
    listener_ = std::move(listenOn(backend_)).value();
    SocketAddress closed = at("127.0.0.3:0");
    listenOn(closed).value();  // closed again: its port is free and refuses
    apply(TableBuilder()
              .service("10.96.0.1:80", "good", {backend_.toString()})
              .service("10.96.0.2:80", "bad", {closed.toString()})
              .service("[fd00::1]:80", "empty", {})
              .leftAlone("10.96.0.3:443", "tls", SM_REASON_TLS));
    client_ = std::move(connectTo(at("10.96.0.1:80"))).value();
    EXPECT_FALSE(connectTo(at("10.96.0.2:80")));
    EXPECT_FALSE(connectTo(at("[fd00::1]:80")));
  }

  // Runs sockmeshctl; its JSON.
  json ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--bpffs-root", sandbox_->bpffs(), "--admin-address",
                                       "127.0.0.1:1", "-o", "json"});
    std::ostringstream out;
    std::ostringstream err;
    EXPECT_EQ(ctl::runCli(arguments, out, err), 0) << err.str();
    return json::parse(out.str(), nullptr, false);
  }

  SocketAddress backend_;
  UniqueFd listener_;
  UniqueFd client_;
};

TEST_F(Inspect, CountersAreReadWithoutTheWriter) {
  makeTraffic();
  const auto stats = readDatapathStats(sandbox_->bpffs());
  ASSERT_TRUE(stats) << stats.error().message();
  ASSERT_EQ(stats->endpoints.size(), 2U);
  EXPECT_EQ(stats->endpoints[0].cluster, "bad");
  EXPECT_EQ(stats->endpoints[0].connections.failed[SM_FAILURE_REFUSED].second, 1U);
  EXPECT_EQ(stats->endpoints[1].address, backend_.toString());
  EXPECT_EQ(stats->endpoints[1].connections.established, 1U);
  EXPECT_EQ(stats->endpoints[1].active, 1U);
  for (const ClusterStats& cluster : stats->clusters) {
    EXPECT_EQ(cluster.refused.count, cluster.cluster == "empty" ? 1U : 0U);
  }
}

// What a scrape says of connections that went to no endpoint.
TEST_F(Inspect, RefusedAndLeftAloneConnectionsHaveTheirReason) {
  makeTraffic();
  EXPECT_FALSE(connectTo(at("10.96.0.3:443")));
  const auto collector = std::make_shared<DatapathCollector>(
      [this] { return readDatapathStats(sandbox_->bpffs()); }, DatapathMetricsOptions{});
  const auto scraped = [&collector] { return expose({collector}); };
  EXPECT_THAT(scraped(),
              AllOf(HasSubstr(R"(refused_total{cluster="empty",reason="no_endpoints"} 1)"),
                    HasSubstr(R"(left_alone_total{cluster="tls",reason="tls"} 1)"),
                    HasSubstr(R"(not_balanced{reason="no_endpoints"} 1)"),
                    HasSubstr(R"(not_balanced{reason="tls"} 1)")));
  // The empty service gets an endpoint, and the other is gone.
  apply(TableBuilder().service("[fd00::1]:80", "empty", {"[fd00::2]:80"}));
  EXPECT_THAT(scraped(),
              AllOf(HasSubstr(R"(refused_total{cluster="empty",reason="no_endpoints"} 1)"),
                    Not(HasSubstr("reason=\"tls\"")), Not(HasSubstr("not_balanced{"))));
}

// Metrics cost what is used, however many endpoints there are.
TEST_F(Inspect, EndpointsThatNobodyChoseAreCountedOnly) {
  backend_ = at("127.0.0.2:0");
  listener_ = std::move(listenOn(backend_)).value();
  TableBuilder tables;
  tables.service("10.96.0.1:80", "a", {backend_.toString()});
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back("10.1." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250) + ":80");
  }
  tables.service("10.96.0.2:80", "many", many);
  apply(tables);
  client_ = std::move(connectTo(at("10.96.0.1:80"))).value();
  const auto stats = readDatapathStats(sandbox_->bpffs());
  ASSERT_TRUE(stats) << stats.error().message();
  ASSERT_EQ(stats->endpoints.size(), 1U);
  EXPECT_EQ(stats->endpoints[0].address, backend_.toString());
  ASSERT_EQ(stats->clusters.size(), 2U);
  EXPECT_EQ(stats->clusters[0].endpoints, 1U);
  EXPECT_EQ(stats->clusters[0].active, 1U);
  EXPECT_EQ(stats->clusters[1].endpoints, 1000U);
  EXPECT_EQ(stats->services[0], (std::pair<std::string_view, std::uint64_t>("balanced", 2)));
}

TEST_F(Inspect, MapUsageCountsWhatIsInUse) {
  makeTraffic();
  const auto stats = readDatapathStats(sandbox_->bpffs());
  ASSERT_TRUE(stats) << stats.error().message();
  std::map<std::string, MapUsage> maps;
  for (const MapUsage& map : stats->maps) maps[map.name] = map;
  EXPECT_EQ(maps.size(), kMapNames.size());
  EXPECT_EQ(maps["frontends4"].entries, 3U);
  EXPECT_EQ(maps["frontends6"].entries, 1U);
  EXPECT_EQ(maps["frontends4"].capacity, 4096U);
  EXPECT_EQ(maps["connections"].entries, 1U);
  EXPECT_EQ(maps["endpoints"].pages, 1U);
  EXPECT_GE(maps["endpoints"].memoryBytes, (64U << SM_ENDPOINT_PAGE_BITS));
  EXPECT_GT(maps["cells"].entries, 0U);
}

// Many services over one large table: the table exists once, in the kernel and in the image.
TEST_F(Inspect, EqualTablesAreReadOnceAndMetricsReadNone) {
  const auto count = static_cast<std::size_t>(8);
  TableBuilder tables;
  for (std::size_t n = 1; n <= count; ++n) {
    tables.service("10.96.0." + std::to_string(n) + ":80", "c", {"10.1.0.1:80", "10.1.0.2:80"});
  }
  apply(tables);
  const KernelImage whole = image();
  ASSERT_EQ(whole.services.size(), count);
  std::set<const CellTable*> objects;
  for (const auto& [key, service] : whole.services) {
    objects.insert(service.service->groups[0]->table.get());
  }
  EXPECT_EQ(objects.size(), 1U);
  EXPECT_FALSE(objects.contains(nullptr));
  const auto lean =
      KernelImage::read(datapath_->maps(), KernelImage::Tables::kOfGroupsOnly).value();
  ASSERT_EQ(lean.services.size(), count);
  for (const auto& [key, service] : lean.services) {
    EXPECT_EQ(service.service->groups[0]->table, nullptr);
    EXPECT_EQ(service.service->groups[0]->hosts.size(), 2U);
  }
}

TEST_F(Inspect, PagesHaveBtfAsOlderKernelsWantIt) {
  makeTraffic();
  int pages = 0;
  for (const auto& pin :
       std::filesystem::directory_iterator(PinPath(sandbox_->bpffs()).maps() + "/pages")) {
    const UniqueFd fd(bpf_obj_get(pin.path().c_str()));
    bpf_map_info info{};
    std::uint32_t length = sizeof(info);
    ASSERT_EQ(bpf_obj_get_info_by_fd(fd.get(), &info, &length), 0) << pin.path();
    EXPECT_NE(info.btf_id, 0U) << pin.path();
    EXPECT_NE(info.btf_value_type_id, 0U) << pin.path();
    ++pages;
  }
  EXPECT_GE(pages, 8) << "one of every table";
}

TEST_F(Inspect, AttachmentsSayWhereAndInWhoseCompany) {
  const auto alone = readAttachments(sandbox_->bpffs());
  ASSERT_TRUE(alone) << alone.error().message();
  ASSERT_EQ(alone->size(), programNames().size());
  for (const Attachment& attachment : *alone) {
    EXPECT_EQ(attachment.problem, "") << attachment.link;
    EXPECT_EQ(attachment.wholeNode, attachment.link == "sm_sock_error");
    EXPECT_EQ(attachment.cgroupId, attachment.wholeNode ? 0 : datapath_->cgroupId());
    EXPECT_EQ(attachment.cgroupPath, attachment.wholeNode ? "" : sandbox_->cgroup());
    EXPECT_EQ(attachment.program.name, attachment.link);
    EXPECT_EQ(attachment.program.tag.size(), 16U);
  }
  EXPECT_EQ(alone->back().hook, "connect4");
}

TEST_F(Inspect, AForeignProgramOnTheHookShowsInTheOrder) {
  const std::array<bpf_insn, 2> proceed = {{
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  }};
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
  const UniqueFd foreign(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "foreign", "GPL",
                                       proceed.data(), proceed.size(), &options));
  ASSERT_TRUE(foreign.valid());
  const UniqueFd cgroup(::open(sandbox_->cgroup().c_str(), O_RDONLY | O_DIRECTORY));
  LIBBPF_OPTS(bpf_link_create_opts, nothing);
  const UniqueFd link(
      bpf_link_create(foreign.get(), cgroup.get(), BPF_CGROUP_INET4_CONNECT, &nothing));
  ASSERT_TRUE(link.valid());
  const auto attachments = readAttachments(sandbox_->bpffs());
  ASSERT_TRUE(attachments);
  const auto& order = attachments->back().order;
  EXPECT_TRUE(std::any_of(order.begin(), order.end(), [](const ProgramInfo& program) {
    return program.name == "foreign" && !program.ours;
  }));
}

// Runs `work` on a thread that lacks a capability.
void without(unsigned capability, const std::function<void()>& work) {
  std::thread([&] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    ASSERT_EQ(syscall(SYS_capget, &header, sets.data()), 0);
    sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
    ASSERT_EQ(syscall(SYS_capset, &header, sets.data()), 0);
    work();
  }).join();
}

TEST_F(Inspect, TheCgroupIsFoundInAPodToo) {
  const std::string below = sandbox_->cgroup() + "/below";
  ASSERT_TRUE(std::filesystem::create_directory(below));
  struct stat folder {};
  ASSERT_EQ(stat(below.c_str(), &folder), 0);
  without(CAP_DAC_READ_SEARCH, [&] {
    EXPECT_EQ(cgroupPath(folder.st_ino), below);
    const auto attachments = readAttachments(sandbox_->bpffs());
    ASSERT_TRUE(attachments);
    EXPECT_EQ(attachments->back().cgroupPath, sandbox_->cgroup());
    EXPECT_FALSE(attachments->back().order.empty());
  });
  std::filesystem::remove(below);
  EXPECT_EQ(cgroupPath(folder.st_ino), "") << "it is gone";
}

TEST_F(Inspect, AMissingPinIsReportedByName) {
  ASSERT_EQ(unlink((PinPath(sandbox_->bpffs()).links() + "/sm_connect6").c_str()), 0);
  const auto attachments = readAttachments(sandbox_->bpffs());
  ASSERT_TRUE(attachments);
  for (const Attachment& attachment : *attachments) {
    EXPECT_EQ(attachment.problem, attachment.link == "sm_connect6" ? "not pinned" : "");
  }
}

TEST_F(Inspect, TheCliShowsTheNodeWithTheAgentDead) {
  makeTraffic();
  const json status = ctl({"status"});
  EXPECT_EQ(status["agent"]["reachable"], false);
  EXPECT_EQ(status["services"]["byState"]["balanced"], 2);
  EXPECT_EQ(status["services"]["notBalanced"].size(), 2U);
  EXPECT_EQ(status["connections"], 1);

  const json services = ctl({"service", "list", "--vip", "10.96.0.3"});
  ASSERT_EQ(services["items"].size(), 1U);
  EXPECT_EQ(services["items"][0]["state"], "LeftAlone");
  const json endpoints = ctl({"endpoint", "list", "--service", "10.96.0.1:80"});
  ASSERT_EQ(endpoints["items"].size(), 1U);
  EXPECT_EQ(endpoints["items"][0]["active"], 1);

  const json connections = ctl({"map", "dump", "connections"});
  ASSERT_EQ(connections["items"].size(), 1U);
  EXPECT_EQ(connections["items"][0]["vip"], "10.96.0.1:80");
  EXPECT_EQ(connections["items"][0]["endpoint"], backend_.toString());
  EXPECT_EQ(connections["items"][0]["state"], "established");
}

// The row of a connection has what `ss -tne` prints of the connection.
TEST_F(Inspect, AConnectionIsFoundByWhatSsShows) {
  makeTraffic();
  std::uint64_t cookie = 0;
  socklen_t length = sizeof(cookie);
  ASSERT_EQ(getsockopt(client_.get(), SOL_SOCKET, SO_COOKIE, &cookie, &length), 0);
  struct stat socket {};
  ASSERT_EQ(fstat(client_.get(), &socket), 0);
  struct stat netns {};
  ASSERT_EQ(stat("/proc/thread-self/ns/net", &netns), 0);
  std::ostringstream sk;
  sk << "sk:" << std::hex << cookie;
  const json row = ctl({"map", "dump", "connections"})["items"][0];
  EXPECT_EQ(row["sk"], sk.str());
  EXPECT_EQ(row["local"], localOf(client_.get()).toString());
  EXPECT_EQ(row["inode"], socket.st_ino);
  EXPECT_EQ(row["netns"], "net:[" + std::to_string(netns.st_ino) + "]");
  struct stat path {};
  ASSERT_EQ(stat(row["netnsPath"].get<std::string>().c_str(), &path), 0);
  EXPECT_EQ(path.st_ino, netns.st_ino);
}

// A socket of a pod is found as well, with the way into its namespace.
TEST_F(Inspect, ConnectionsOfOtherNamespacesAreFound) {
  makeTraffic();
  client_.reset();
  // Holds a connection in a namespace of its own.
  const std::string program =
      "import signal, socket, subprocess\n"
      "subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)\n"
      "server = socket.create_server(('" +
      backend_.ip.toString() + "', " + std::to_string(backend_.port) +
      "))\n"
      "client = socket.create_connection(('10.96.0.1', 80))\n"
      "print('%s:%d' % client.getsockname(), flush=True)\n"
      "signal.pause()\n";
  const std::string log = sandbox_->folder() + "/pod.log";
  Process pod({"unshare", "--net", "python3", "-c", program}, log);
  ASSERT_TRUE(pod.awaitLog("\n")) << pod.log();
  std::string local = pod.log();
  local.pop_back();
  const json rows = ctl({"map", "dump", "connections"})["items"];
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const json& one) { return one["local"] == local; });
  ASSERT_NE(row, rows.end()) << local << rows.dump(1);
  EXPECT_EQ((*row)["vip"], "10.96.0.1:80");
  const std::string path = (*row)["netnsPath"];
  const Ran inside = run({"nsenter", "--net=" + path, "ss", "-tneH", "src", local});
  EXPECT_NE(inside.output.find((*row)["sk"].get<std::string>() + " "), std::string::npos)
      << inside.output;
}

TEST_F(Inspect, ExplainOfAnotherPortSpeaksJson) {
  makeTraffic();
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(ctl::runCli({"explain", "10.96.0.3:80", "-o", "json", "--bpffs-root", sandbox_->bpffs(),
                         "--admin-address", "127.0.0.1:1"},
                        out, err),
            1);
  EXPECT_EQ(err.str(), "");
  const json explained = json::parse(out.str(), nullptr, false);
  ASSERT_TRUE(explained.is_object()) << out.str();
  EXPECT_EQ(explained["state"], "NoService");
  EXPECT_EQ(explained["otherPorts"][0]["port"], 443);
}

TEST_F(Inspect, EveryMapCanBeDumped) {
  makeTraffic();
  const std::set<std::string> unused{"affinity", "conn_overflow", "flows",      "flow_sources",
                                     "ranges",   "served",        "selections", "unserved"};
  for (const std::string& name : kMapNames) {
    if (name == "events" || name == "asked") continue;
    const json dump = ctl({"map", "dump", name});
    EXPECT_EQ(dump["items"].empty(), unused.count(name) == 1) << name;
  }
}

}  // namespace
}  // namespace sockmesh::test
