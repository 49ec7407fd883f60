# SPDX-License-Identifier: Apache-2.0
"""Parts of xDS messages, as proto3 JSON."""

PORT = 9080
# A placeholder for the case's own /24, until cases.number() assigns one.
NET = "127.1.X."
TYPE = "type.googleapis.com/"
TCP_PROXY = TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
POLICY = "envoy.extensions.load_balancing_policies."
TYPED_POLICIES = {
    "round_robin": "RoundRobin",
    "least_request": "LeastRequest",
    "random": "Random",
    "ring_hash": "RingHash",
    "maglev": "Maglev",
    "subset": "Subset",
    "wrr_locality": "WrrLocality",
    "client_side_weighted_round_robin": "ClientSideWeightedRoundRobin",
}


def host(number, weight=None, health=None, hostname=None, labels=None, port=PORT):
    """The LbEndpoint at the case's address `number` (1 to 254). `labels` is envoy.lb metadata."""
    address = {"address": f"{NET}{number}", "port_value": port}
    made = {"endpoint": {"address": {"socket_address": address}}}
    if weight is not None:
        made["load_balancing_weight"] = weight
    if health is not None:
        made["health_status"] = health
    if hostname is not None:
        made["endpoint"]["hostname"] = hostname
    if labels is not None:
        made["metadata"] = {"filter_metadata": {"envoy.lb": labels}}
    return made


def hosts(count, first=1, healthy=None, bad="UNHEALTHY", **fields):
    """`count` hosts with consecutive numbers. The first `healthy` are healthy, the others are `bad`."""
    healthy = count if healthy is None else healthy
    return [
        host(first + i, health=None if i < healthy else bad, **fields) for i in range(count)
    ]


def numbers(lb_endpoints):
    """The numbers of hosts."""
    return [int(one["endpoint"]["address"]["socket_address"]["address"].removeprefix(NET))
            for one in lb_endpoints]


def weighted(*weights, first=1):
    return [host(first + i, weight=weight) for i, weight in enumerate(weights)]


def locality(zone, lb_endpoints, weight=None, priority=None):
    made = {"lb_endpoints": lb_endpoints}
    if zone is not None:
        made["locality"] = {"region": "r1", "zone": zone}
    if weight is not None:
        made["load_balancing_weight"] = weight
    if priority is not None:
        made["priority"] = priority
    return made


def levels(*lists):
    """One locality for each priority, from 0."""
    return [locality("a", members, priority=i) for i, members in enumerate(lists)]


def cluster(name, policy="ROUND_ROBIN", **fields):
    return {
        "name": name,
        "type": "EDS",
        "connect_timeout": "5s",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
        "lb_policy": policy,
        **fields,
    }


def typed(policy, **fields):
    """The value of Cluster.load_balancing_policy that names one typed policy."""
    config = {"@type": f"{TYPE}{POLICY}{policy}.v3.{TYPED_POLICIES[policy]}", **fields}
    extension = {"name": "envoy.load_balancing_policies." + policy, "typed_config": config}
    return {"policies": [{"typed_extension_config": extension}]}


def assignment(name, endpoints, **policy):
    made = {"cluster_name": name, "endpoints": endpoints}
    if policy:
        made["policy"] = policy
    return made


def panic_threshold(percent):
    return {"healthy_panic_threshold": {"value": percent}}


def match(**labels):
    """A metadata_match over envoy.lb."""
    return {"filter_metadata": {"envoy.lb": labels}}


def split(**weights):
    return {
        "weighted_clusters": {
            "clusters": [{"name": name, "weight": weight} for name, weight in weights.items()]
        }
    }


def _chain(name, tcp_proxy, **fields):
    config = {"@type": TCP_PROXY, "stat_prefix": name, **tcp_proxy}
    return {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": config}],
            **fields}


def _listener(name, address, port, chains):
    return {
        "@type": TYPE + "envoy.config.listener.v3.Listener",
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": chains,
    }


def listener(name, address, port, tcp_proxy):
    """A Listener whose only filter is a tcp_proxy with these fields."""
    return _listener(name, address, port, [_chain(name, tcp_proxy)])


def _range(prefix):
    address, bits = prefix.split("/")
    return {"address_prefix": address, "prefix_len": int(bits)}


def wildcard_listener(name, port, chains):
    """A Listener on all addresses. `chains`: prefixes ("10.0.0.0/8") and the fields of a tcp_proxy."""
    return _listener(name, "0.0.0.0", port, [
        _chain(name, proxy, filter_chain_match={
            "prefix_ranges": [_range(one) for one in prefixes]})
        for prefixes, proxy in chains])
