// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>

#include "maps/kernel_maps.h"
#include "node_fixture.h"

namespace sockmesh::ctl::test {
namespace {

const std::map<std::string, std::string> kTables = {
    {"frontends4", R"(ADDRESS      PORT   PROTOCOL   SERVICE-ID   SERVICE
10.96.0.10     80   TCP                 1   reviews:80
10.96.0.11    443   TCP                 2   vault
)"},
    {"frontends6", R"(ADDRESS   PORT   PROTOCOL   SERVICE-ID   SERVICE
fd00::1     80   TCP                 3   ratings
)"},
    {"frontend_filter", R"(ADDRESS      PORT   PROTOCOL   WORD   BIT   SET
10.96.0.10     80   TCP         297    52   yes
10.96.0.11    443   TCP        6305    26   no
fd00::1        80   TCP        1826    11   yes
)"},
    {"ranges", ""},  // there is none
    {"heads", R"(SERVICE-ID   SERVICE      DESCRIPTOR
         1   reviews:80           11
         2   vault                12
         3   ratings              13
)"},
    {"descriptors",
     R"(DESCRIPTOR   ADDRESS      PORT   PROTOCOL   SERVICE-ID   GROUP-FIRST   GROUP-COUNT   PICK-CELL   PICK-SIZE   AFFINITY-SECONDS   IPV4-ONLY   IPV6-ONLY   FLAGS
        11   10.96.0.10     80   TCP                 1           100             2         500           2                  0           0           0   -
        12   10.96.0.11    443   TCP                 2           200             1           0           1                  0           0           0   -
        13   fd00::1        80   TCP                 3           300             1           0           1                  0           0           0   NEEDS_L7,AUTO_TLS
)"},
    {"groups",
     R"(GROUP   POLICY          REASON        CLUSTER-ID   CLUSTER      LOCALITY   PRIORITY   LEG   HOST-CELL   HOST-COUNT   TABLE-CELL   TABLE-SIZE   CHOICE-COUNT   ACTIVE-REQUEST-BIAS   BALANCE-PERCENT   RING-SHIFT   CURSOR   LOAD-FLOOR   FLAGS
  100   ROUND_ROBIN     None                   1   reviews-v1   -                 0     0         520            2          510            3              0                   0.0                 0            0        0          0.0   -
  101   LEAST_REQUEST   None                   2   reviews-v2   -                 0     0         530            1            0            0              2                   1.0                 0            0        0          0.0   -
  200   LEAVE_ALONE     Tls                    0   -            -                 0     0           0            0            0            0              0                   0.0                 0            0        0          0.0   -
  300   REFUSE          NoEndpoints            0   -            -                 0     0           0            0            0            0              0                   0.0                 0            0        0          0.0   -
)"},
    {"cells", R"(CELL   USE                     INDEX   VALUE
 500   pick of 10.96.0.10:80       0   0
 501   pick of 10.96.0.10:80       1   1 below 2147483648, else 0
 510   table of group 100          0   0
 510   table of group 100          1   1
 510   table of group 100          2   0
 520   hosts of group 100          0   10.0.0.1:9080
 520   hosts of group 100          1   10.0.0.2:9080
 530   hosts of group 101          0   10.0.0.3:9080
)"},
    {"endpoints",
     R"(ENDPOINT-ID   ADDRESS    PORT   CLUSTER      LOCALITY    PRIORITY   WEIGHT   HEALTH
          1   10.0.0.1   9080   reviews-v1   eu-west/a          0        2   HEALTHY
          2   10.0.0.2   9080   reviews-v1   eu-west/a          0        1   UNKNOWN
          3   10.0.0.3   9080   reviews-v2   eu-west/a          0        1   HEALTHY
)"},
    {"endpoint_state",
     R"(ENDPOINT-ID   ENDPOINT        CLUSTER      ACTIVE   CONSECUTIVE-FAILURES   EJECTED   EJECTED-UNTIL-NS   EJECTED-AT-NS   RETURNED-AT-NS   EJECTIONS   MULTIPLIER   DETECTOR          INWARD   USERS   USERS-BEFORE   VOTES   RUNS
          1   10.0.0.1:9080   reviews-v1        3                      0   no                       0               0                0           0            0   -                      0       0              0       0      0
          2   10.0.0.2:9080   reviews-v1        0                      5   yes          1030000000000    970000000000     910000000000           2            2   consecutive_5xx        0       0              0       0      0
          3   10.0.0.3:9080   reviews-v2        0                      0   no                       0               0                0           0            0   -                      0       0              0       0      0
)"},
    {"endpoint_stats",
     R"(ENDPOINT-ID   ENDPOINT        CLUSTER      SELECTED   ESTABLISHED   FAILED                                                            CLOSED                                               SENT-BYTES   RECEIVED-BYTES   RETRANSMITS   DISPUTED   CONNECT-US                         RTT-US
          1   10.0.0.1:9080   reviews-v1         20            18   refused=0,timed_out=1,unreachable=0,reset=0,local=1,abandoned=0   clean=15,reset_by_peer=0,reset_by_us=0,timed_out=0         2048              100             4          0   10,0,0,0,8,0,0,0,0,0,0,0,0,0,0,0   0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
          2   10.0.0.2:9080   reviews-v1          5             0   refused=5,timed_out=0,unreachable=0,reset=0,local=0,abandoned=0   clean=0,reset_by_peer=0,reset_by_us=0,timed_out=0             0                0             0          0   0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
          3   10.0.0.3:9080   reviews-v2          0             0   refused=0,timed_out=0,unreachable=0,reset=0,local=0,abandoned=0   clean=0,reset_by_peer=0,reset_by_us=0,timed_out=0             0                0             0          0   0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
)"},
    {"cluster_state",
     R"(CLUSTER-ID   CLUSTER      ACTIVE   EJECTED   EJECTION-LIMIT   CONNECT-TIMEOUT-NS   CONSECUTIVE                                                                                                                     BASE-EJECTION-NS   MAX-EJECTION-NS   INTERVAL-NS   JITTER-MS
         1   reviews-v1        0         1                1           5000000000   detector=consecutive_gateway_failure,threshold=5,enforcingPercent=0,detector=consecutive_5xx,threshold=5,enforcingPercent=100        30000000000      300000000000             0           0
         2   reviews-v2        0         0                0                    0   -                                                                                                                                              0                 0             0           0
)"},
    {"cluster_stats",
     R"(CLUSTER-ID   CLUSTER      REFUSED-NO-ENDPOINTS   LEFT-ALONE   RESELECTED   HASH-FALLBACK   EJECTIONS-DETECTED   EJECTIONS-ENFORCED   EJECTIONS-OVERFLOW   EJECTIONS-OWN
         1   reviews-v1                      0            2            0               0   consecutive_5xx=3    consecutive_5xx=2                     1               0
         2   reviews-v2                      0            0            0               0   -                    -                                     0               0
)"},
    {"unswept", R"(CLUSTER-ID   CLUSTER
         2   reviews-v2
)"},
    {"clients",
     R"(PLACE   CLIENT    IDLE-SECONDS   OVERFLOW-RECORDS   AFFINITIES
    2   netns:4            5.0                  0            3
)"},
    {"client_runs", ""},
    {"connections",
     R"(SK        LOCAL              VIP             STATE         ENDPOINT-ID   ENDPOINT        CLUSTER      AGE-SECONDS   INODE   NETNS              NETNS-PATH          COOKIE   CLIENT
sk:1011   10.244.1.9:43210   10.96.0.10:80   established             1   10.0.0.1:9080   reviews-v1           2.0   52101   net:[4026532008]   /proc/4242/ns/net     4113   netns:4
)"},
    {"affinity",
     R"(VIP             PROTOCOL   CLIENT       NETNS-COOKIE   ENDPOINT-ID   ENDPOINT        IDLE-SECONDS   TIMEOUT-SECONDS
10.96.0.10:80   TCP        10.244.1.9              0             2   10.0.0.2:9080         90.123                 0
)"},
    {"flows",
     R"(SK        VIP             ENDPOINT-ID   ENDPOINT        SHARED   IDLE-SECONDS   COOKIE
sk:1011   10.96.0.10:80             2   10.0.0.2:9080   no             90.123     4113
)"},
    {"flow_sources",
     R"(SK        SOURCE          VIP             ENDPOINT-ID   ANSWERED   COOKIE
sk:1011   10.0.0.2:9080   10.96.0.10:80             2   yes          4113
)"},
    {"names", R"(KIND       ID   NAME
service     1   reviews:80
service     2   vault
service     3   ratings
cluster     1   reviews-v1
cluster     2   reviews-v2
locality    1   eu-west/a
)"},
    {"conn_overflow", ""},
    {"counters", R"(COUNTER            VALUE   MEANING
lookup_retry           0   a lookup met a recycled hash element and started over (harmless)
lookup_exhausted       0   a lookup met recycled hash elements too often; address left alone
conn_overflow          7   a full bucket of connection records; a hash took the record
conn_lost              0   no memory for a connection record; balanced, but its outcome is not counted
table_broken           0   an index in the tables led nowhere; the address was left alone
events_dropped         0   the ring of events was full; the sums are not affected
family_mismatch        0   no endpoint had an address of the socket's family; EAFNOSUPPORT
affinity_lost          0   no memory for where a client went; its next connection may go elsewhere
callbacks_lost         0   another sock_ops program took away our callbacks from a connection
conn_swept             0   records of connections whose socket was gone without a word; ended
flows_created          0   UDP flows: a socket sent to a VIP for the first time
flows_moved            0   UDP flows that went on to another endpoint, because theirs was not eligible
flows_ended            0   UDP flows that ended with their socket
flows_lost             0   no memory for a UDP flow; answers may show the endpoint and not the VIP
left_stale             0   connects to VIPs that were left alone: older than ads.stale_after
)"},
    {"selections",
     R"(NUMBER   EVENT       REASON   BY        PROTOCOL   VIP          VIP-PORT   SERVICE      CLUSTER      ADDRESS    PORT   POLICY        CLIENT     CGROUP    PID   THREAD   TOOK-NS
     7   selection   -        connect   TCP        10.96.0.10         80   reviews:80   reviews-v1   10.0.0.1   9080   ROUND_ROBIN   pod:7003   -        4300   curl         310
)"},
    {"selection_times", R"(FIRST-NS   BUCKETS                           SUM-NS
      64   0,0,3,0,0,0,0,0,0,0,0,0,0,0,0,0      600
)"},
    {"served", R"(KIND              ID   RULE        PORTS         NETNS-COOKIE
cgroup          7001   leave out   -                        0
netns     4026532011   let in      -                       12
sidecar            0   leave out   15001,15006              0
)"},
    {"unserved", ""},
    {"globals",
     R"(AGENT-TGID   AGENT-START-NS   CONN-OVERFLOW-LIVE   UDP-USED   STALE-FROM-NS   SERVED-FLAGS   SERVED-EPOCH   CLIENTS   PODS-EPOCH   POD-PARENTS   SAMPLE-BELOW   HISTOGRAM-BELOW   SELECTIONS   WATCHERS
      4242                0                    0   no                     0              0              0         0            0   -                 33554432          33554432            7          1
)"},
};

constexpr const char* kConnectionsJson = R"({
  "schemaVersion": 1,
  "kind": "MapDump",
  "map": "connections",
  "items": [
    {
      "sk": "sk:1011",
      "local": "10.244.1.9:43210",
      "vip": "10.96.0.10:80",
      "state": "established",
      "endpointId": 1,
      "endpoint": "10.0.0.1:9080",
      "cluster": "reviews-v1",
      "ageSeconds": 2.0,
      "inode": 52101,
      "netns": "net:[4026532008]",
      "netnsPath": "/proc/4242/ns/net",
      "cookie": 4113,
      "client": "netns:4"
    }
  ]
}
)";

constexpr const char* kMapList = R"(NAME         KIND            ENTRIES       MAX   PAGES   MEMORY
frontends4   hash                  2    131072       -     8KiB
endpoints    array_of_maps         3   4194304       1    96KiB
names        hash                900      1000       -   128KiB
events       ringbuf               -    262144       -   264KiB
)";

constexpr const char* kMapListJson = R"({
  "schemaVersion": 1,
  "kind": "MapList",
  "items": [
    {
      "name": "frontends4",
      "kind": "hash",
      "entries": 2,
      "maxEntries": 131072,
      "pages": null,
      "memoryBytes": 8192
    },
    {
      "name": "endpoints",
      "kind": "array_of_maps",
      "entries": 3,
      "maxEntries": 4194304,
      "pages": 1,
      "memoryBytes": 98304
    },
    {
      "name": "names",
      "kind": "hash",
      "entries": 900,
      "maxEntries": 1000,
      "pages": null,
      "memoryBytes": 131072
    },
    {
      "name": "events",
      "kind": "ringbuf",
      "entries": null,
      "maxEntries": 262144,
      "pages": null,
      "memoryBytes": 270336
    }
  ]
}
)";

TEST(MapDump, EveryMapAsATable) {
  for (const auto& [name, expected] : kTables) {
    EXPECT_EQ(shown(mapDump(makeNode(), name), Format::kTable), expected) << name;
  }
}

TEST(MapDump, JsonIsTyped) {
  EXPECT_EQ(shown(mapDump(makeNode(), "connections"), Format::kJson), kConnectionsJson);
}

TEST(MapDump, AConnectionWhoseSocketIsNotSeenIsShownWithoutIt) {
  NodeView node = makeNode();
  node.sockets.clear();
  const Json items = Json::parse(shown(mapDump(node, "connections"), Format::kJson))["items"];
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(items[0]["sk"], "sk:1011");
  EXPECT_EQ(items[0]["local"], "");
  EXPECT_TRUE(items[0]["inode"].is_null());
}

TEST(MapDump, WhoIsLeftAloneIsShown) {
  NodeView node = makeNode();
  addPodWithSidecar(node);
  EXPECT_EQ(shown(mapDump(node, "unserved"), Format::kTable),
            R"(NETNS              CGROUP-ID   REASON    SECONDS-AGO
net:[4026532012]        7002   sidecar          30.0
)");
}

TEST(MapDump, EveryMapIsShownOrSaysWhyNot) {
  for (const std::string& name : kMapNames) {
    const std::string text = shown(mapDump(makeNode(), name), Format::kTable);
    EXPECT_EQ(text.starts_with("exit 1: " + name + " is "), !kTables.contains(name)) << text;
  }
  EXPECT_TRUE(
      shown(mapDump(makeNode(), "frontend"), Format::kTable).starts_with("exit 64: no map"));
}

TEST(MapList, TableAndJson) {
  EXPECT_EQ(shown(mapList(makeNode()), Format::kTable), kMapList);
  EXPECT_EQ(shown(mapList(makeNode()), Format::kJson), kMapListJson);
}

}  // namespace
}  // namespace sockmesh::ctl::test
