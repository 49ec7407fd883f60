# SPDX-License-Identifier: Apache-2.0
"""Hash policies: each of 1,000 sources must reach the same endpoint on both sides."""
from distribution_cases import BY_LOCALITY, case, shares
from messages import host, hosts, levels, locality, panic_threshold, split, typed, weighted

SOURCE_IP = {"hash_policy": [{"source_ip": {}}]}


def exact(name, why, endpoints, policy, **fields):
    made = case(name, why, endpoints, policy, listener=SOURCE_IP, **fields)
    made["mode"] = "exact"
    made["connections"] = 1000
    return made


def ring(name, why, endpoints, size=None, largest=None, function=None, **fields):
    config = {
        "minimum_ring_size": size, "maximum_ring_size": largest, "hash_function": function,
    }
    config = {key: value for key, value in config.items() if value is not None}
    if config:
        fields["ring_hash_lb_config"] = config
    return exact("ring-" + name, why, endpoints, "RING_HASH", **fields)


def maglev(name, why, endpoints, table=None, **fields):
    if table:
        fields["maglev_lb_config"] = {"table_size": table}
    return exact("maglev-" + name, why, endpoints, "MAGLEV", **fields)


def named(count):
    return [host(i + 1, hostname=f"web-{i}.shop.svc") for i in range(count)]


def keyed(count):
    return [host(i + 1, labels={"hash_key": f"shard-{i * 7}"}) for i in range(count)]


RING_CASES = [
    ring("equal-3", "the default ring", hosts(3)),
    ring("one-host", "one host takes all", hosts(1)),
    ring("weights-1-2-1", "entries follow the weights", weighted(1, 2, 1)),
    ring("weights-1-99", "the ring outgrows its least size", weighted(1, 99)),
    ring("size-64", "a small ring", hosts(5), size=64),
    ring("size-20000", "a large ring", weighted(3, 2, 5, 7), size=20000),
    ring("largest-10", "a ring cut short", weighted(1, 2, 3), size=8, largest=10),
    ring("size-1-largest-3", "less entries than hosts", hosts(5), size=1, largest=3),
    ring("murmur", "hosts hashed with murmur, sources with xxHash", hosts(4),
         function="MURMUR_HASH_2"),
    ring("murmur-weights", "murmur and weights", weighted(5, 1, 3), size=2048,
         function="MURMUR_HASH_2"),
    ring("unhealthy", "unhealthy hosts are not in the ring", hosts(5, healthy=3)),
    ring("panic", "panic: all hosts are", hosts(5, healthy=1)),
    ring("threshold-0-none", "none eligible: refused", hosts(2, healthy=0),
         common_lb_config=panic_threshold(0)),
    ring("priorities-35-65", "the hash chooses the priority",
         levels(hosts(4, healthy=1), hosts(3, first=5))),
    ring("priorities-three", "three levels",
         levels(hosts(4, healthy=1), hosts(4, first=5, healthy=1), weighted(2, 1, first=9))),
    ring("localities", "locality weights into the ring",
         [locality("a", hosts(2), 3), locality("b", weighted(2, 1, first=3), 1)],
         common_lb_config=BY_LOCALITY),
    ring("degraded", "degraded hosts are in no table",
         levels([host(1), host(2), host(3, health="DEGRADED"), host(4, health="DEGRADED")],
                hosts(2, first=5, healthy=0))),
    ring("draining", "draining hosts are not in the ring", hosts(4, healthy=2, bad="DRAINING")),
    ring("hash-key", "metadata envoy.lb hash_key is the host's key", keyed(4)),
    ring("empty", "no endpoints: refused", []),
    ring("typed-hostname", "host names as keys", named(4),
         load_balancing_policy=typed("ring_hash", consistent_hashing_lb_config={
             "use_hostname_for_hashing": True})),
    ring("typed-murmur", "the typed policy's own numbers", hosts(3),
         load_balancing_policy=typed("ring_hash", hash_function="MURMUR_HASH_2",
                                     minimum_ring_size=512)),
    ring("40-hosts", "many hosts", hosts(40)),
]

MAGLEV_CASES = [
    maglev("equal-3", "the default table", hosts(3)),
    maglev("one-host", "one host takes all", hosts(1)),
    maglev("weights-1-2-1", "slots follow the weights", weighted(1, 2, 1)),
    maglev("weights-1-99", "a hundredth", weighted(1, 99)),
    maglev("weights-big", "weights of six digits", weighted(100000, 250000, 7)),
    maglev("table-7", "the least table, seven slots", hosts(6), table=7),
    maglev("table-1021", "a small table", weighted(3, 2, 1), table=1021),
    maglev("unhealthy", "unhealthy hosts are not in the table", hosts(5, healthy=3)),
    maglev("panic", "panic: all hosts are", hosts(5, healthy=1)),
    maglev("threshold-0-none", "none eligible: refused", hosts(2, healthy=0),
           common_lb_config=panic_threshold(0)),
    maglev("priorities-70-30", "the hash chooses the priority",
           levels(hosts(2, healthy=1), hosts(3, first=3))),
    maglev("total-panic", "all levels down: by the number of hosts",
           levels(hosts(3, healthy=0), hosts(2, first=4, healthy=0))),
    maglev("localities", "locality weights into the table",
           [locality("a", hosts(2), 1), locality("b", weighted(1, 4, first=3), 4)],
           common_lb_config=BY_LOCALITY),
    maglev("no-locality-weights", "no weights at all: an empty table, refused",
           [locality("a", hosts(2)), locality("b", hosts(2, first=3))],
           common_lb_config=BY_LOCALITY),
    maglev("hash-key", "metadata envoy.lb hash_key is the host's key", keyed(5)),
    maglev("typed-hostname", "host names as keys", named(5),
           load_balancing_policy=typed("maglev", consistent_hashing_lb_config={
               "use_hostname_for_hashing": True})),
    maglev("typed-table", "the typed policy's own table", hosts(4),
           load_balancing_policy=typed("maglev", table_size=251)),
    maglev("duplicate", "an address given twice has one place",
           [host(1, weight=1), host(2), host(1, weight=9), host(3)]),
]


def bounded(percent):
    return {"consistent_hashing_lb_config": {"hash_balance_factor": percent}}


# All connections stay open, so each connection changes the bound of the next.
BOUNDED_CASES = [
    maglev("bounded-held", "bounded load: who is above the bound is passed over", hosts(5),
           hold=True, common_lb_config=bounded(100)),
    maglev("bounded-weights-held", "bounds follow the weights", weighted(7, 18, 1, 3), hold=True,
           common_lb_config=bounded(110)),
    ring("bounded-held", "bounded load on a ring", hosts(7), hold=True,
         common_lb_config=bounded(125)),
    maglev("bounded-typed-held", "the typed policy's factor", weighted(2, 1, 5), hold=True,
           load_balancing_policy=typed("maglev", consistent_hashing_lb_config={
               "hash_balance_factor": 150})),
]

# Without a hash policy every connection hashes a random number.
RANDOM_HASH_CASES = [
    case("maglev-without-hash-policy", "by weight", weighted(3, 1), "MAGLEV",
         predict=shares([3, 1])),
    case("ring-without-hash-policy", "by entries", weighted(1, 1), "RING_HASH",
         ring_hash_lb_config={"minimum_ring_size": 4096}),
    case("split-maglev", "the split draws, the table hashes", weighted(1), "MAGLEV",
         listener=split(c=3, d=1) | SOURCE_IP,
         clusters=[{"cluster": case("x", "", [], "MAGLEV")["cluster"] | {"name": "d"},
                    "assignment": {"cluster_name": "d", "endpoints": [
                        locality(None, hosts(1, first=2))]}}],
         predict=shares([3, 1])),
]

HASH_CASES = [*RING_CASES, *MAGLEV_CASES, *BOUNDED_CASES, *RANDOM_HASH_CASES]
