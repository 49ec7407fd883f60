// SPDX-License-Identifier: Apache-2.0
// Who is served: network namespaces, cgroups, sidecars, the default. The VIP has a listener of its
// own, as kube-proxy would give it one, so a connect that is left alone shows where it went.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>

#include "inspect/unserved.h"
#include "maps/served_rules.h"
#include "support/datapath_test.h"
#include "support/eventually.h"
#include "support/pod.h"

namespace sockmesh::test {
namespace {

std::uint64_t inodeOf(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_ino;
}

// A cgroup below the test's, removed when it is empty.
class ChildCgroup {
 public:
  explicit ChildCgroup(std::string path) : path_(std::move(path)) {
    EXPECT_EQ(mkdir(path_.c_str(), 0755), 0) << path_;
  }
  ~ChildCgroup() {
    eventually([&] { return rmdir(path_.c_str()) == 0 || errno != EBUSY; },
               std::chrono::seconds(2));
  }
  ChildCgroup(const ChildCgroup&) = delete;
  ChildCgroup& operator=(const ChildCgroup&) = delete;
  void take(pid_t pid) const { std::ofstream(path_ + "/cgroup.procs") << pid; }
  ServedId id() const { return {ServedId::Kind::kCgroup, inodeOf(path_)}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Served : public DatapathTest {
 protected:
  void SetUp() override {
    DatapathTest::SetUp();
    if (HasFatalFailure()) return;
    ASSERT_TRUE(addAddress("10.96.7.1"));
    ASSERT_TRUE(addAddress("10.97.7.1"));
    original_ = std::move(listenOn(vip_)).value();
    backend_ = std::move(listenOn(host_)).value();
    apply(TableBuilder().service(vip_.toString(), "c", {host_.toString()}));
    rules_ = std::make_unique<ServedRules>(datapath_->maps());
  }

  static std::unique_ptr<Pod> makePod(int number) {
    auto pod = Pod::create(number);
    EXPECT_TRUE(pod) << pod.error().message();
    return std::move(pod).value();
  }
  static ServedId netnsOf(const Pod& pod) {
    return {ServedId::Kind::kNetns, inodeOf("/proc/" + std::to_string(pod.pid()) + "/ns/net")};
  }
  // Where a connect() of the pod to the VIP went.
  std::string wentTo(Pod& pod) {
    if (const int error = pod.connect(vip_)) return std::strerror(error);
    std::array<pollfd, 2> waiting = {{{original_.get(), POLLIN, 0}, {backend_.get(), POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), 5000) != 1) return "both or none";
    const bool left = waiting[0].revents != 0;
    acceptOn(left ? original_ : backend_);
    return left ? "left alone" : "balanced";
  }
  void put(const ServedId& id, bool letIn) {
    ASSERT_TRUE(rules_->put(id, letIn));
    rules_->changed();
  }
  // A listener in the pod's namespace.
  static UniqueFd listenIn(const Pod& pod, std::uint16_t port, const std::string& ip = "0.0.0.0") {
    const SocketAddress address = at((ip == "::" ? "[::]" : ip) + ":" + std::to_string(port));
    UniqueFd fd = pod.socketInside(address.ip.isV4() ? AF_INET : AF_INET6, SOCK_STREAM);
    EXPECT_EQ(bindErrno(fd.get(), address), 0);
    EXPECT_EQ(::listen(fd.get(), 8), 0);
    return fd;
  }
  void recogniseSidecars() {
    const std::vector<std::vector<std::uint16_t>> ports = {{15001, 15006}, {4140, 4143}};
    ASSERT_TRUE(rules_->setSidecars(ports));
    rules_->ask({.sidecars = true});
  }
  bool becomes(Pod& pod, const std::string& expected) {
    return eventually([&] { return wentTo(pod) == expected; }, std::chrono::seconds(10));
  }

  SocketAddress vip_ = at("10.96.7.1:0");
  SocketAddress host_ = at("10.97.7.1:0");
  UniqueFd original_;
  UniqueFd backend_;
  std::unique_ptr<ServedRules> rules_;
};

TEST_F(Served, ANamespaceThatIsLeftOutConnectsAsIfThereWereNoMesh) {
  const auto out = makePod(1), other = makePod(2);
  EXPECT_EQ(wentTo(*out), "balanced");
  rules_->ask({.namespaces = true});
  put(netnsOf(*out), false);
  EXPECT_EQ(wentTo(*out), "left alone");
  EXPECT_EQ(wentTo(*other), "balanced");
  ASSERT_TRUE(rules_->erase(netnsOf(*out)));
  rules_->changed();
  EXPECT_EQ(wentTo(*out), "balanced");
}

TEST_F(Served, ALaterNamespaceWithTheSameInodeIsAnotherOne) {
  const auto pod = makePod(1);
  rules_->ask({.namespaces = true});
  put(netnsOf(*pod), false);
  ASSERT_EQ(wentTo(*pod), "left alone");
  // As if the first namespace had gone while no agent ran: the rule knows another cookie.
  const sm_served_key key{.id = netnsOf(*pod).id, .kind = SM_SERVED_NETNS, .pad = 0};
  auto& map = datapath_->maps().served;
  sm_served_rule rule = map.find(key).value();
  EXPECT_NE(rule.netns_cookie, 0u);
  rule.netns_cookie += 1;
  ASSERT_TRUE(map.put(key, rule));
  rules_->changed();
  EXPECT_EQ(wentTo(*pod), "balanced");
}

TEST_F(Served, ACgroupsRuleIsForAllBelowIt) {
  const ChildCgroup pods(sandbox_->cgroup() + "/pods");
  const ChildCgroup one(pods.path() + "/one");
  const auto pod = makePod(1);
  one.take(pod->pid());
  rules_->ask({.cgroups = true});
  EXPECT_EQ(wentTo(*pod), "balanced");
  put(pods.id(), false);
  EXPECT_EQ(wentTo(*pod), "left alone");
  put(one.id(), true);
  EXPECT_EQ(wentTo(*pod), "left alone") << "what leaves out wins";
  put(pods.id(), true);
  EXPECT_EQ(wentTo(*pod), "balanced");
}

// Pods on the host's network share its namespace.
TEST_F(Served, CgroupsOfOneNamespaceAreToldApart) {
  const ChildCgroup out(sandbox_->cgroup() + "/out"), other(sandbox_->cgroup() + "/other");
  const auto pod = makePod(1);
  rules_->ask({.cgroups = true});
  put(out.id(), false);
  for (int i = 0; i < 3; ++i) {
    out.take(pod->pid());
    EXPECT_EQ(wentTo(*pod), "left alone");
    other.take(pod->pid());
    EXPECT_EQ(wentTo(*pod), "balanced");
  }
}

TEST_F(Served, NobodyByDefaultExceptWhoIsLetIn) {
  const auto in = makePod(1), other = makePod(2);
  rules_->ask({.namespaces = true, .byDefault = false});
  put(netnsOf(*in), true);
  EXPECT_EQ(wentTo(*in), "balanced");
  EXPECT_EQ(wentTo(*other), "left alone");
}

TEST_F(Served, APodWithASidecarIsLeftAloneWhileTheSidecarListens) {
  const auto pod = makePod(1), other = makePod(2);
  recogniseSidecars();
  EXPECT_EQ(wentTo(*pod), "balanced");
  UniqueFd outbound = listenIn(*pod, 15001);
  {
    const UniqueFd inbound = listenIn(*pod, 15006);
    EXPECT_TRUE(becomes(*pod, "left alone"));
    EXPECT_EQ(wentTo(*other), "balanced");
  }
  EXPECT_TRUE(becomes(*pod, "balanced")) << "one port alone may be anybody's";
}

TEST_F(Served, SidecarsOnLoopbackAndOnIpv6AreRecognised) {
  const auto linkerd = makePod(1), six = makePod(2);
  recogniseSidecars();
  const UniqueFd a = listenIn(*linkerd, 4140, "127.0.0.1"), b = listenIn(*linkerd, 4143, "::");
  const UniqueFd c = listenIn(*six, 15001, "::"), d = listenIn(*six, 15006, "::");
  EXPECT_EQ(wentTo(*linkerd), "left alone");
  EXPECT_EQ(wentTo(*six), "left alone");
}

// Of pods on the host's network one would otherwise decide for all.
TEST_F(Served, InTheAgentsOwnNamespaceNobodyIsASidecar) {
  recogniseSidecars();
  SocketAddress outbound = at("127.0.0.1:4140"), inbound = at("127.0.0.1:4143");
  const auto a = listenOn(outbound), b = listenOn(inbound);
  ASSERT_TRUE(a && b);
  ASSERT_TRUE(connectTo(vip_));
  EXPECT_EQ(acceptedAt(backend_), host_);
}

TEST_F(Served, WhoIsLetInIsServedAlsoWithASidecar) {
  const auto pod = makePod(1);
  recogniseSidecars();
  const UniqueFd outbound = listenIn(*pod, 15001), inbound = listenIn(*pod, 15006);
  ASSERT_EQ(wentTo(*pod), "left alone");
  put(netnsOf(*pod), true);
  rules_->ask({.namespaces = true, .sidecars = true});
  EXPECT_EQ(wentTo(*pod), "balanced");
}

TEST_F(Served, WhoIsLeftAloneIsNamed) {
  const auto pod = makePod(1), other = makePod(2);
  rules_->ask({.namespaces = true});
  put(netnsOf(*pod), false);
  wentTo(*pod);
  wentTo(*other);
  const auto named = readUnserved(datapath_->maps());
  ASSERT_TRUE(named) << named.error().message();
  ASSERT_EQ(named->size(), 1u);
  EXPECT_EQ(named->front().netnsInode, netnsOf(*pod).id);
  EXPECT_EQ(named->front().cgroupId, inodeOf(sandbox_->cgroup()));
  EXPECT_EQ(named->front().reason, static_cast<std::uint32_t>(SM_UNSERVED_LEFT_OUT));
}

TEST_F(Served, DatagramsOfALeftOutPodGoWhereTheyName) {
  SocketAddress vip = at("10.96.7.1:0"), host = at("10.97.7.1:0");
  const UniqueFd original = std::move(udpServer(vip)).value();
  const UniqueFd backend = std::move(udpServer(host)).value();
  apply(TableBuilder().service(vip.toString(), "u", {host.toString()}).udp(vip.toString()));
  const auto pod = makePod(1);
  const UniqueFd client = pod->socketInside(AF_INET, SOCK_DGRAM);
  rules_->ask({.namespaces = true});
  ASSERT_EQ(sendErrno(client.get(), "balanced", vip), 0);
  EXPECT_EQ(receive(backend.get()).text, "balanced");
  put(netnsOf(*pod), false);
  ASSERT_EQ(sendErrno(client.get(), "left alone", vip), 0);
  EXPECT_EQ(receive(original.get()).text, "left alone");
  EXPECT_EQ(connectErrno(client.get(), vip), 0);
  EXPECT_EQ(peerOf(client.get()), vip);
}

// IPv6, and IPv4 through an IPv6 socket.
TEST_F(Served, IPv6SocketsAskToo) {
  const SocketAddress vip = at("[fd00:96::7]:80");
  SocketAddress host = at("[::1]:0");
  const UniqueFd listener = std::move(listenOn(host)).value();
  apply(TableBuilder()
            .service(vip_.toString(), "c", {host_.toString()})
            .service(vip.toString(), "six", {host.toString()}));
  ASSERT_TRUE(connectTo(vip));
  ASSERT_TRUE(connectTo(vip_, true));
  EXPECT_EQ(acceptedAt(backend_), host_);
  rules_->ask({.byDefault = false});
  EXPECT_FALSE(connectTo(vip)) << "there is no such address";
  ASSERT_TRUE(connectTo(vip_, true));
  EXPECT_EQ(acceptedAt(original_), vip_);
}

TEST_F(Served, RulesOutliveTheAgentThatWroteThem) {
  const auto pod = makePod(1);
  rules_->ask({.namespaces = true});
  put(netnsOf(*pod), false);
  rules_.reset();
  open();
  EXPECT_EQ(wentTo(*pod), "left alone");
}

}  // namespace
}  // namespace sockmesh::test
