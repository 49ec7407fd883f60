# SPDX-License-Identifier: Apache-2.0
"""Zone-aware routing: which part of the connections stays in the caller's own zone.

A zone case adds to the other cases' form:

  callers  which of CALLERS are the local cluster's endpoints while the case runs
  zone_of  the zone of each host
  differs  how Envoy differs from what "predict" says of sockmesh, and why

Shares are expected by zone, and spread evenly over the zone's healthy hosts. Envoy uses integers:
the own zone has l ten thousandths of the callers and u ten thousandths of the healthy upstream
hosts. If u >= l, all connections stay in the zone. Otherwise the fraction u / l stays. The rest goes
to the zones in which u exceeds l, in proportion to the excess.
"""
import json

from distribution_cases import case
from hash_cases import exact
from messages import (
    NET, PORT, TYPE, assignment, cluster, host, hosts, locality, match, numbers, typed,
)

OWN = "own"
NODE_LOCALITY = locality(OWN, [])["locality"]
# None stands for a locality without a name.
ZONES = (OWN, "x", "y", None)
CONNECTIONS = 2000
# For cases without chance.
CERTAIN_CONNECTIONS = 400


# Envoy takes the name from its bootstrap alone.
CALLERS_CLUSTER = cluster("callers", common_lb_config={"update_merge_window": "0s"})
USUAL_CALLERS = "2-2-2"


def _callers(own=0, x=0, y=0):
    return {OWN: own, "x": x, "y": y}


# By name: the callers in each zone, the number of healthy callers, and their weights.
CALLERS = {
    USUAL_CALLERS: (_callers(2, 2, 2), None, None),
    "4-4-2": (_callers(4, 4, 2), None, None),
    "2-2-2 of 4-2-2": (_callers(4, 2, 2), _callers(2, 2, 2), None),
    "panic": (_callers(2, 2, 2), _callers(1, 1, 0), None),
    "not here": (_callers(0, 2, 2), None, None),
    "here alone": (_callers(2), None, None),
    "none": (_callers(), None, None),
    "weights 1-2-3": (_callers(2, 2, 2), None, _callers(1, 2, 3)),
}


def callers_resources(name):
    """The local cluster and its endpoints. Nothing connects to these endpoints."""
    counts, healthy, weights = CALLERS[name]
    first, localities = 1, []
    for zone_name, count in counts.items():
        if count:
            localities.append(locality(zone_name, hosts(
                count, first, (healthy or counts)[zone_name],
                weight=(weights or {}).get(zone_name))))
        first += count
    made = [{"@type": f"{TYPE}envoy.config.cluster.v3.Cluster", **CALLERS_CLUSTER},
            {"@type": f"{TYPE}envoy.config.endpoint.v3.ClusterLoadAssignment",
             **assignment(CALLERS_CLUSTER["name"], localities)}]
    net = f"127.1.{list(CALLERS).index(name) + 1}."
    return json.loads(json.dumps(made).replace(NET, net))


class Upstream:
    """A cluster's hosts by zone."""

    def __init__(self, down):
        self.localities, self.healthy = [], {}
        self.down, self.next = down, 1

    def add(self, zone, weights):
        """Adds this number of hosts, or hosts of these weights."""
        weights = [None] * weights if isinstance(weights, int) else weights
        members = range(self.next, self.next + len(weights))
        self.next += len(weights)
        self.localities.append(locality(zone, [
            host(n, weight=weight, health="UNHEALTHY" if n in self.down else None)
            for n, weight in zip(members, weights)]))
        self.healthy[zone] = [n for n in members if n not in self.down]


def upstream(own=0, x=0, y=0, nowhere=0, down=()):
    """Hosts numbered from 1, zone by zone. The hosts in `down` are not healthy."""
    made = Upstream(down)
    for zone, members in zip(ZONES, (own, x, y, nowhere)):
        if members:
            made.add(zone, members)
    return made


def _spread(by_zone, healthy):
    return {n: share / len(healthy[zone])
            for zone, share in by_zone.items() for n in healthy[zone] if share}


def flat(up):
    """The same share for each healthy host, whatever its zone."""
    numbers = [n for members in up.healthy.values() for n in members]
    return {n: 1 / len(numbers) for n in numbers}


def _zoned(made, callers):
    zone_of = {f"{NET}{n}:{PORT}": one.get("locality", {}).get("zone", "no zone")
               for one in made["assignment"]["endpoints"] for n in numbers(one["lb_endpoints"])}
    return {**made, "callers": callers, "zone_of": zone_of}


def zone(name, why, up, by_zone=None, predict=None, callers=USUAL_CALLERS, config=None,
         typed_as=None, **fields):
    """`by_zone` are shares of zones, `predict` are shares of hosts. `typed_as` names the policy of `config`."""
    aware = {"zone_aware_lb_config": config or {}}
    if typed_as:
        fields["load_balancing_policy"] = typed(typed_as, locality_lb_config=aware)
    else:
        fields["common_lb_config"] = aware
    certain = predict is None and len(by_zone) == 1 or predict == {"none": 1.0}
    made = case("zone-" + name, why, up.localities,
                connections=CERTAIN_CONNECTIONS if certain else CONNECTIONS,
                predict=_spread(by_zone, up.healthy) if predict is None else predict, **fields)
    return _zoned(made, callers)


# u 2000, 4000, 4000 against l 3333 each.
LESS = {OWN: 0.6, "x": 0.2, "y": 0.2}
ALL_OWN = {OWN: 1.0}


def less():
    return upstream(own=2, x=4, y=4)


def much():
    return upstream(own=6, x=2, y=2)


RESIDUAL_CASES = [
    zone("less", "the own zone has less than its callers: the rest goes to the others",
         less(), LESS),
    zone("more", "the own zone has more than its callers: all stays", much(), ALL_OWN),
    zone("equal", "equal parts: all stays", upstream(own=3, x=3, y=3), ALL_OWN),
    zone("residual-one", "a zone without room gets nothing", upstream(own=1, x=1, y=2),
         {OWN: 0.75, "y": 0.25}, config={"min_cluster_size": 1}),
    zone("residual-fractions", "1428, 4285 and 4285 against 3333 each",
         upstream(own=1, x=3, y=3), {OWN: 0.4284, "x": 0.2858, "y": 0.2858}),
    zone("residual-2-1", "2500, 5000, 2500 against 4000, 4000, 2000", upstream(own=5, x=10, y=5),
         {OWN: 0.625, "x": 0.25, "y": 0.125}, callers="4-4-2"),
    zone("residual-285-2285", "1428, 4285, 4285 against 4000, 4000, 2000",
         upstream(own=1, x=3, y=3), callers="4-4-2",
         by_zone={OWN: 0.357, "x": 0.643 * 285 / 2570, "y": 0.643 * 2285 / 2570}),
    zone("own-empty", "no host in the own zone: others by what they have above their callers",
         upstream(x=3, y=5), {"x": 417 / 3334, "y": 2917 / 3334}),
    zone("no-locality", "hosts without a locality are a zone, too", upstream(own=2, nowhere=6),
         {OWN: 0.75, None: 0.25}),
    zone("weights-within", "hosts of a zone by weight, zones by number",
         upstream(own=[3, 1], x=4, y=[7, 1, 1, 1]),
         predict={1: 0.45, 2: 0.15, **{n: 0.05 for n in (3, 4, 5, 6)}, 7: 0.14,
                  **{n: 0.02 for n in (8, 9, 10)}}),
]

WITH_DEGRADED = [locality(OWN, hosts(3)), locality("x", hosts(3, first=4)),
                 locality("y", hosts(4, first=7, healthy=0, bad="DEGRADED"))]

ONE_ZONE = upstream(own=6)
ELSEWHERE = upstream(x=6)
FIVE = upstream(own=1, x=2, y=2)
HALF = {OWN: 0.8, "x": 0.1, "y": 0.1}

SIZE_CASES = [
    zone("below-min", "5 healthy hosts are below min_cluster_size: flat", FIVE, predict=flat(FIVE)),
    zone("at-min", "6 are not", upstream(own=2, x=2, y=2), ALL_OWN),
    zone("min-11", "10 are below 11: flat", much(), predict=flat(much()),
         config={"min_cluster_size": 11}),
    zone("routing-50", "half of all is routed by zone", much(), HALF,
         config={"routing_enabled": {"value": 50}}),
    zone("routing-50-less", "half by zone, half flat", less(), {OWN: 0.4, "x": 0.3, "y": 0.3},
         config={"routing_enabled": {"value": 50}}),
    zone("routing-0", "none is", less(), predict=flat(less()),
         config={"routing_enabled": {"value": 0}}),
    zone("one-zone", "a single zone has nothing to choose from", ONE_ZONE, predict=flat(ONE_ZONE)),
    zone("one-zone-elsewhere", "a single zone that is not the own", ELSEWHERE,
         predict=flat(ELSEWHERE)),
]

DOWN = upstream(own=4, x=4, y=2, down=(3, 4))
OWN_DOWN = upstream(own=2, x=3, y=3, down=(1, 2))
PANIC = upstream(own=6, x=2, y=2, down=range(2, 11))
BELOW_BY_HEALTH = upstream(own=2, x=3, y=2, down=(7, 6))
ANY_OF_10 = {n: 0.1 for n in range(1, 11)}

HEALTH_CASES = [
    zone("own-partly-down", "healthy hosts count: 2, 4 and 2", DOWN, {OWN: 0.75, "x": 0.25}),
    zone("own-all-down", "none in the own zone is healthy: all to the others", OWN_DOWN,
         {"x": 0.5, "y": 0.5}),
    zone("min-by-health", "5 healthy of 7: flat", BELOW_BY_HEALTH, predict=flat(BELOW_BY_HEALTH)),
    zone("panic", "panic is one flat list", PANIC, predict=ANY_OF_10),
    zone("panic-fails", "fail_traffic_on_panic: refused", PANIC, predict={"none": 1.0},
         config={"fail_traffic_on_panic": True}),
]

P0 = [locality(OWN, hosts(4, healthy=2)), locality("x", hosts(4, first=5, healthy=2)),
      locality("y", hosts(4, first=9, healthy=2))]
P1 = [locality(OWN, hosts(1, first=13), priority=1), locality("x", hosts(3, first=14), priority=1)]
SUB_ZONE = [{"locality": {**NODE_LOCALITY, "sub_zone": "s1"}, "lb_endpoints": hosts(6)},
            locality("x", hosts(2, first=7)), locality("y", hosts(2, first=9))]
V1, V2 = {"version": "v1"}, {"version": "v2"}
SUBSET_HOSTS = [
    locality(OWN, [*hosts(2, labels=V1), *hosts(6, first=3, labels=V2)]),
    locality("x", hosts(4, first=9, labels=V1)), locality("y", hosts(4, first=13, labels=V1))]


def given(name, why, localities, predict, callers=USUAL_CALLERS, differs="", **fields):
    """A case that gives the share of each host."""
    made = case("zone-" + name, why, localities, predict=predict, connections=CONNECTIONS,
                common_lb_config={"zone_aware_lb_config": {}}, **fields)
    return {**_zoned(made, callers), "differs": differs}


LEVEL_CASES = [
    given("priority-1", "priority 1 knows no zones", P0 + P1,
          {1: 0.35, 2: 0.35, **{n: 0.075 for n in (13, 14, 15, 16)}}),
    given("degraded", "84 % to the healthy, by zone; 16 % to the degraded, wherever they are",
          WITH_DEGRADED, {**{n: 0.28 for n in (1, 2, 3)}, **{n: 0.04 for n in (7, 8, 9, 10)}},
          differs="Envoy sends the degraded part to zones by their healthy hosts"),
    given("sub-zone", "a sub-zone is another locality: hosts without callers", SUB_ZONE,
          {n: 1 / 6 for n in range(1, 7)}),
    given("subset", "a subset's hosts are what counts", SUBSET_HOSTS,
          {**{n: 0.3 for n in (1, 2)}, **{n: 0.05 for n in range(9, 17)}},
          listener={"metadata_match": match(version="v1")},
          lb_subset_config={"subset_selectors": [{"keys": ["version"]}]}),
]

POLICY_CASES = [
    zone("random", "RANDOM", less(), LESS, policy="RANDOM"),
    zone("lr", "LEAST_REQUEST", less(), LESS, policy="LEAST_REQUEST"),
    zone("lr-routing-50", "LEAST_REQUEST, half of all by zone", much(), HALF,
         policy="LEAST_REQUEST", config={"routing_enabled": {"value": 50}}),
    zone("typed-rr", "locality_lb_config of the typed policy", less(), LESS,
         typed_as="round_robin"),
    zone("typed-random", "of RANDOM, too", less(), LESS, typed_as="random"),
    zone("typed-lr", "of LEAST_REQUEST, too", less(), LESS, typed_as="least_request"),
]

HASH_CASES = [
    _zoned(exact(f"zone-{name}", "hash policies know no zones", much().localities, policy,
                 common_lb_config={"zone_aware_lb_config": {}}), USUAL_CALLERS)
    for name, policy in (("maglev", "MAGLEV"), ("ring", "RING_HASH"))]

FORCED = {"force_locality_direct_routing": True}
WEIGHTED = upstream(own=[1, 1], x=[3, 3], y=[2, 2])
WEIGHTED_MORE = upstream(own=[1, 1], x=[4, 4], y=[5, 5])
BY_WEIGHT = {"locality_basis": "HEALTHY_HOSTS_WEIGHT"}

TYPED_CASES = [
    zone("forced", "force_locality_direct_routing: one host in the own zone takes all",
         upstream(own=1, x=4, y=4), ALL_OWN, typed_as="round_robin", config=FORCED),
    zone("forced-own-down", "not where none of the own zone is healthy", OWN_DOWN,
         {"x": 0.5, "y": 0.5}, typed_as="round_robin", config=FORCED),
    zone("force-at-2", "force_local_zone: two hosts are enough", upstream(own=2, x=6, y=6),
         ALL_OWN, typed_as="round_robin", config={"force_local_zone": {"min_size": 2}}),
    zone("force-below-2", "one is not: by residuals", upstream(own=1, x=4, y=5),
         {OWN: 0.3, "x": 0.7 * 667 / 2334, "y": 0.7 * 1667 / 2334}, typed_as="round_robin",
         config={"force_local_zone": {"min_size": 2}}),
    zone("basis-weight", "1666, 5000 and 3333 by weight", WEIGHTED, {OWN: 0.4998, "x": 0.5002},
         typed_as="round_robin", config=BY_WEIGHT),
    zone("basis-weight-callers", "1000, 4000, 5000 against the callers' 1666, 3333, 5000",
         WEIGHTED_MORE, {OWN: 0.6002, "x": 0.3998}, typed_as="round_robin", config=BY_WEIGHT,
         callers="weights 1-2-3"),
    zone("basis-count-callers", "by number, whatever their weights", less(), LESS,
         typed_as="round_robin", callers="weights 1-2-3"),
]

PANICKING = {"fail_traffic_on_panic": True}

CALLERS_CASES = [
    zone("callers-down", "healthy callers count: 2, 2 and 2", less(), LESS,
         callers="2-2-2 of 4-2-2"),
    zone("callers-panic", "callers in panic: flat", less(), predict=flat(less()),
         callers="panic"),
    zone("callers-panic-fails", "callers in panic and fail_traffic_on_panic: refused", less(),
         predict={"none": 1.0}, callers="panic", config=PANICKING),
    zone("callers-panic-half", "of half of all", less(), callers="panic",
         predict={"none": 0.5, **{n: 0.05 for n in range(1, 11)}},
         config=PANICKING | {"routing_enabled": {"value": 50}}),
    zone("callers-not-here", "no caller in the own zone: flat", less(), predict=flat(less()),
         callers="not here"),
    zone("callers-here-alone", "callers in the own zone alone: flat", less(),
         predict=flat(less()), callers="here alone"),
    zone("callers-here-alone-forced", "or all to the own zone where that is forced", less(),
         ALL_OWN, callers="here alone", typed_as="round_robin", config=FORCED),
    zone("callers-none", "no callers: flat", less(), predict=flat(less()), callers="none"),
]

ZONE_CASES = [*RESIDUAL_CASES, *SIZE_CASES, *HEALTH_CASES, *LEVEL_CASES, *POLICY_CASES,
              *HASH_CASES, *TYPED_CASES, *CALLERS_CASES]
