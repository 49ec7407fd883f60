# SPDX-License-Identifier: Apache-2.0
"""Ranges of addresses: a wildcard listener whose filter chains match prefix_ranges.

Further fields of such a case: vips (the addresses to connect to, in turn), vip_port (its own, because
Envoy binds the wildcard) and chains (of prefixes and the fields of a TcpProxy), in place of `listener`.
Each cluster has one endpoint, so the pick says which filter chain was chosen.
"""
from messages import NET, PORT, assignment, cluster, host, locality, split

FIRST_PORT = 8001


def _leg(name, number):
    return {"cluster": cluster(name), "assignment": assignment(name, [locality("a", [host(number)])])}


def _case(name, why, chains, vips, clusters, mode="exact", one=None, predict=None):
    """`chains`: cluster, or fields of a TcpProxy, by prefixes. `one`: a VIP with a listener of its own."""
    names = list(clusters)
    legs = [_leg(leg, number + 1) for number, leg in enumerate(names)]
    return {
        "name": "range-" + name, "why": why, "mode": mode, "vips": vips, **legs[0],
        "clusters": legs[1:], "connections": 300 if mode == "exact" else 3000,
        "chains": [(prefixes.split(), {"cluster": to} if isinstance(to, str) else to)
                   for prefixes, to in chains.items()],
        "one": one,
        "predict": {f"{NET}{names.index(leg) + 1}:{PORT}": share
                    for leg, share in (predict or {}).items()},
    }


def _numbered(cases):
    return [{**case, "vip_port": FIRST_PORT + index} for index, case in enumerate(cases)]


RANGE_CASES = _numbered([
    _case("whole", "each address of a range, from the first to the last",
          {"127.101.16.0/20": "a"},
          ["127.101.16.0", "127.101.16.1", "127.101.24.7", "127.101.31.254", "127.101.31.255"], "a"),
    _case("longest", "the longest prefix wins, in whatever order the chains stand",
          {"127.101.0.0/16": "w", "127.101.2.0/24": "n", "127.101.2.128/25": "m",
           "127.101.2.200/32": "o", "127.101.0.0/17": "v"},
          ["127.101.200.1", "127.101.1.255", "127.101.2.0", "127.101.2.127", "127.101.2.128",
           "127.101.2.199", "127.101.2.200", "127.101.2.201", "127.101.3.0", "127.101.128.0"],
          "wnmov"),
    _case("host-bits", "bits behind the prefix's length do not count",
          {"127.101.5.99/24": "a", "127.101.4.1/23": "b"},
          ["127.101.5.1", "127.101.5.99", "127.101.4.200"], "ab"),
    _case("two-in-a-chain", "a chain with two ranges",
          {"127.101.8.0/24 127.101.10.0/24": "a", "127.101.8.0/22": "b"},
          ["127.101.8.1", "127.101.9.1", "127.101.10.1", "127.101.11.1"], "ab"),
    _case("beside-an-address", "a listener of an address wins against every range",
          {"127.101.0.0/16": "w", "127.101.7.7/32": "n"},
          ["127.101.7.6", "127.101.7.7", "127.101.7.8"], "wno", one=("127.101.7.7", "o")),
    _case("split", "a range whose connections are split by weight",
          {"127.101.0.0/16": split(a=1, b=3)}, ["127.101.0.1", "127.101.255.1", "127.101.77.7"],
          "ab", mode="distribution", predict={"a": 0.25, "b": 0.75}),
])
