# SPDX-License-Identifier: Apache-2.0
"""Resources at the edge of what is valid, one at a time: does each side take or refuse the resource?

"""
import copy
import dataclasses

import messages
from messages import cluster, host, hosts, locality, split, typed, weighted



STRICTER = "the API's own limit, which Envoy does not check"


@dataclasses.dataclass
class Edge:
    name: str
    kind: str  # CDS, EDS or LDS
    resources: list
    refused: bool  # by Envoy
    differs: str = ""  # why sockmesh answers the other way


VIP = ("127.100.200.1", 8000)
CLUSTER = messages.TYPE + "envoy.config.cluster.v3.Cluster"
ASSIGNMENT = messages.TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment"


def base():
    """A cluster, its endpoints and a listener that are valid."""
    return [
        {"@type": CLUSTER, **cluster("base")},
        _assignment("base", [locality(None, hosts(2))]),
        messages.listener("base", *VIP, {"cluster": "base"}),
    ]


def _numbered(resource):
    if isinstance(resource, dict):
        return {key: _numbered(value) for key, value in resource.items()}
    if isinstance(resource, list):
        return [_numbered(value) for value in resource]
    if isinstance(resource, str):
        return resource.replace(messages.NET, "127.1.250.")
    return resource


def _assignment(name, endpoints, **policy):
    return _numbered({"@type": ASSIGNMENT, **messages.assignment(name, endpoints, **policy)})


def _address(**fields):
    return {"endpoint": {"address": {"socket_address": {
        "address": "127.1.250.1", "port_value": 80, **fields}}}}


def _with_more(*more):
    made = _address()
    made["endpoint"]["additional_addresses"] = [
        {"address": {"socket_address": {"address": one, "port_value": 80}}} for one in more]
    return made


def _assignments():
    def one(name, refused, *endpoints, differs="", **policy):
        made = _assignment("base", list(endpoints), **policy)
        return Edge(name, "EDS", [made], refused, differs)

    def members(name, refused, *lb_endpoints, **policy):
        return one(name, refused, locality(None, list(lb_endpoints)), **policy)

    return [
        members("weight-1", False, host(1, weight=1)),
        members("weight-0", True, host(1, weight=0)),
        members("weights-sum-2^32", False, *weighted(4294967295, 1), differs=STRICTER),
        members("weights-sum-2^32-1", False, *weighted(4294967294, 1)),
        one("locality-weight-0", True, locality("a", hosts(1), 0)),
        one("locality-weights-2^32", False, locality("a", hosts(1), 4294967295),
            locality("b", hosts(1, first=2), 1), differs=STRICTER),
        one("priority-128", False, locality("a", hosts(1)),
            locality("a", hosts(1, first=2), None, 128)),
        one("priority-129", True, locality("a", hosts(1), None, 129)),
        members("overprovisioning-0", True, host(1), overprovisioning_factor=0),
        members("overprovisioning-1", False, host(1), overprovisioning_factor=1),
        members("stale-after-0", True, host(1), endpoint_stale_after="0s"),
        members("stale-after-1h", False, host(1), endpoint_stale_after="3600s"),
        members("two-drop-overloads", True, host(1), drop_overloads=[
            {"category": "a", "drop_percentage": {"numerator": 1}},
            {"category": "b", "drop_percentage": {"numerator": 1}}]),
        members("drop-category-empty", True, host(1), drop_overloads=[
            {"drop_percentage": {"numerator": 1}}]),
        members("port-65536", True, _address(port_value=65536)),
        members("address-empty", True, _address(address="")),
        members("address-is-a-name", True, _address(address="web.shop.svc")),
        members("address-octet-256", True, _address(address="127.1.250.256")),
        # Addresses that no connection reaches.
        members("address-unspecified", False, _address(address="0.0.0.0")),
        members("address-unspecified-6", False, _address(address="::")),
        members("address-multicast", False, _address(address="224.0.0.1")),
        members("address-multicast-6", False, _address(address="ff02::1")),
        members("address-broadcast", False, _address(address="255.255.255.255")),
        members("address-link-local-6", False, _address(address="fe80::1")),
        members("address-link-local-zone", True, _address(address="fe80::1%eth0")),
        members("address-reserved", False, _address(address="240.0.0.1")),
        members("address-this-network", False, _address(address="0.1.2.3")),
        members("address-the-vip", False, _address(address=VIP[0], port_value=VIP[1])),
        members("port-0", False, _address(port_value=0)),
        members("additional-address", False, _with_more("127.1.250.2")),
        members("additional-address-6", False, _with_more("fd00::1")),
        members("additional-address-of-nothing", True, _with_more("")),
        members("no-address", True, {"endpoint": {"hostname": "web"}}),
        members("health-status-9", False, {**host(1), "health_status": 9}),
        members("endpoint-twice", False, host(1), host(1)),
        one("locality-empty", False, locality("a", [])),
        one("nothing", False),
    ]


def _listeners():
    def proxy(name, refused, differs="", **tcp_proxy):
        made = messages.listener("edge-" + name, "127.100.200.2", 8000, tcp_proxy)
        return Edge(name, "LDS", [made], refused, differs)

    def whole(name, refused, change):
        made = messages.listener("edge-" + name, "127.100.200.2", 8000, {"cluster": "base"})
        change(made)
        return Edge(name, "LDS", [made], refused)

    def chain_twice(one):
        one["filter_chains"].append(copy.deepcopy(one["filter_chains"][0]))

    def two_proxies(one):
        filters = one["filter_chains"][0]["filters"]
        filters.append(copy.deepcopy(filters[0]))

    def prefix(bits, address="127.100.200.2"):
        def change(one):
            one["filter_chains"][0]["filter_chain_match"] = {
                "prefix_ranges": [{"address_prefix": address, "prefix_len": bits}]}
        return change

    source = {"source_ip": {}}
    return [
        proxy("cluster", False, cluster="base"),
        proxy("unknown-cluster", False, cluster="nowhere"),
        proxy("no-cluster", True),
        proxy("cluster-empty", False, cluster=""),
        proxy("stat-prefix-empty", True, cluster="base", stat_prefix=""),
        proxy("split", False, **split(base=1)),
        proxy("split-weight-0", True, **split(base=0)),
        proxy("split-of-none", True, weighted_clusters={"clusters": []}),
        proxy("split-name-empty", True, **split(**{"": 1})),
        proxy("two-hash-policies", True, cluster="base", hash_policy=[source, source]),
        proxy("connect-attempts-0", True, cluster="base", max_connect_attempts=0),
        proxy("idle-timeout-0", False, cluster="base", idle_timeout="0s"),
        proxy("downstream-duration-0", True, cluster="base",
              max_downstream_connection_duration="0s"),
        whole("no-chains", True, lambda one: one.pop("filter_chains")),
        whole("chain-without-filters", False,
              lambda one: one["filter_chains"][0].pop("filters")),
        whole("same-chain-twice", True, chain_twice),
        whole("proxy-after-proxy", True, two_proxies),
        whole("filter-name-empty", True,
              lambda one: one["filter_chains"][0]["filters"][0].update(name="")),
        whole("no-address", True, lambda one: one.pop("address")),
        whole("port-65536", True,
              lambda one: one["address"]["socket_address"].update(port_value=65536)),
        whole("address-is-a-name", True,
              lambda one: one["address"]["socket_address"].update(address="shop.svc")),
        whole("prefix-24", False, prefix(24)),
        whole("prefix-not-an-address", True, prefix(24, "shop.svc")),
    ]


def _health_check(**fields):
    return {"timeout": "1s", "interval": "5s", "unhealthy_threshold": 2, "healthy_threshold": 1,
            "tcp_health_check": {}, **fields}


def _without(name):
    made = _health_check()
    made.pop(name)
    return made


def _balancing_clusters(one):
    subset = {"subset_selectors": [{"keys": ["a", "b"]}]}
    keys_subset = {"keys": ["a", "b"], "fallback_policy": "KEYS_SUBSET"}
    return [
        one("maglev-table-not-prime", True, "MAGLEV", maglev_lb_config={"table_size": 1000}),
        one("maglev-table-5000011", False, "MAGLEV", maglev_lb_config={"table_size": 5000011}),
        one("maglev-table-5000077", True, "MAGLEV", maglev_lb_config={"table_size": 5000077}),
        one("ring-8388609", True, "RING_HASH", ring_hash_lb_config={"minimum_ring_size": 8388609}),
        one("ring-least-above-most", True, "RING_HASH",
            ring_hash_lb_config={"minimum_ring_size": 20, "maximum_ring_size": 10}),
        one("ring-config-unused", False, "LEAST_REQUEST",
            ring_hash_lb_config={"minimum_ring_size": 20}),
        one("lr-choice-count-1", True, "LEAST_REQUEST",
            least_request_lb_config={"choice_count": 1}),
        one("hash-balance-99", True, "MAGLEV", common_lb_config={
            "consistent_hashing_lb_config": {"hash_balance_factor": 99}}),
        one("hostname-hashing-eds", True, "RING_HASH", common_lb_config={
            "consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}),
        one("panic-threshold-101", True, common_lb_config=messages.panic_threshold(101)),
        one("cluster-provided", True, "CLUSTER_PROVIDED"),
        one("lb-policy-99", True, 99),
        one("policy-config-without-policy", True, "LOAD_BALANCING_POLICY_CONFIG"),
        one("typed-none", True, load_balancing_policy={"policies": []}),
        one("typed-with-subsets", True, load_balancing_policy=typed("random"),
            lb_subset_config=subset),
        one("typed-with-locality-weights", True, load_balancing_policy=typed("round_robin"),
            common_lb_config={"locality_weighted_lb_config": {}}),
        one("typed-with-threshold", False, load_balancing_policy=typed("round_robin"),
            common_lb_config=messages.panic_threshold(10)),
        one("typed-ring-0", False,
            load_balancing_policy=typed("ring_hash", minimum_ring_size=0)),
        one("typed-choice-count-1", False,
            load_balancing_policy=typed("least_request", choice_count=1)),
        *_typed_beyond_the_api(one),
        one("typed-maglev-1000", True, load_balancing_policy=typed("maglev", table_size=1000)),
        one("subset", False, lb_subset_config=subset),
        one("subset-keys-empty", False, lb_subset_config={"subset_selectors": [{"keys": []}]}),
        one("subset-keys-subset", False, lb_subset_config={
            "subset_selectors": [{**keys_subset, "fallback_keys_subset": ["a"]}, {"keys": ["a"]}]}),
        one("subset-keys-subset-none", True,
            lb_subset_config={"subset_selectors": [keys_subset]}),
        one("subset-keys-subset-all", True, lb_subset_config={
            "subset_selectors": [{**keys_subset, "fallback_keys_subset": ["a", "b"]}]}),
        one("subset-keys-subset-other", True, lb_subset_config={
            "subset_selectors": [{**keys_subset, "fallback_keys_subset": ["c"]}]}),
    ]


def _typed_beyond_the_api(one):
    """Values that Envoy's typed policies ignore, and wrr_locality's children."""
    def taken(name, policy, **fields):
        return one(name, False, load_balancing_policy=typed(policy, **fields), differs=STRICTER)

    def wrr_locality(child):
        return typed("wrr_locality", endpoint_picking_policy=typed(child))

    subset = typed("subset", subset_selectors=[{"keys": ["a"]}], subset_lb_policy=typed("random"))
    return [
        taken("typed-choice-count-0", "least_request", choice_count=0),
        taken("typed-selection-method-9", "least_request", selection_method=9),
        taken("typed-bias-negative", "least_request", active_request_bias={
            "default_value": -1, "runtime_key": "bias"}),
        taken("typed-hash-balance-99", "maglev",
              consistent_hashing_lb_config={"hash_balance_factor": 99}),
        taken("typed-hash-function-9", "ring_hash", hash_function=9),
        one("typed-subset-in-subset", False, differs="a subset has one set of keys here",
            load_balancing_policy=typed("subset", subset_selectors=[{"keys": ["b"]}],
                                        subset_lb_policy=subset)),
        one("subset-single-host-two-keys", False, differs="no host can be the only one of two keys",
            lb_subset_config={"subset_selectors": [
                {"keys": ["a", "b"], "single_host_per_subset": True}]}),
        one("wrr-locality", False,
            load_balancing_policy=wrr_locality("client_side_weighted_round_robin")),
        *(one("wrr-locality-" + child, True, load_balancing_policy=wrr_locality(child))
          for child in ("round_robin", "least_request", "random")),
    ]


def _clusters():
    def one(name, refused, policy="ROUND_ROBIN", differs="", **fields):
        made = {"@type": CLUSTER, **cluster("edge-" + name, policy, **fields)}
        made = {key: value for key, value in made.items() if value is not None}
        members = _assignment("edge-" + name, [locality(None, hosts(1))])
        return Edge(name, "CDS", [made, members], refused, differs)

    return [
        one("plain", False),
        one("no-connect-timeout", False, connect_timeout=None),
        one("connect-timeout-0", True, connect_timeout="0s"),
        one("eds-without-config", True, eds_cluster_config=None),
        one("type-99", True, type=99),
        one("outlier-empty", False, outlier_detection={}),
        one("outlier-percent-101", True, outlier_detection={"max_ejection_percent": 101}),
        one("outlier-enforcing-101", True, outlier_detection={"enforcing_consecutive_5xx": 101}),
        one("outlier-interval-0", True, outlier_detection={"interval": "0s"}),
        one("outlier-base-0", True, outlier_detection={"base_ejection_time": "0s"}),
        one("outlier-max-below-base", True, outlier_detection={
            "base_ejection_time": "30s", "max_ejection_time": "10s"}),
        one("check-tcp", False, health_checks=[_health_check()]),
        one("check-without-timeout", True, health_checks=[_without("timeout")]),
        one("check-without-interval", True, health_checks=[_without("interval")]),
        one("check-without-threshold", True, health_checks=[_without("unhealthy_threshold")]),
        one("check-timeout-0", True, health_checks=[_health_check(timeout="0s")]),
        one("check-of-nothing", True, health_checks=[_without("tcp_health_check")]),
        one("checks-two-unnamed", True, health_checks=[_health_check(), _health_check()]),
        one("breakers", False, circuit_breakers={"thresholds": [{"max_connections": 10}]}),
        one("static-without-assignment", False, type="STATIC", eds_cluster_config=None),
        *_balancing_clusters(one),
    ]


def all_cases():
    return [*_assignments(), *_listeners(), *_clusters()]
