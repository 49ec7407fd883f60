# SPDX-License-Identifier: Apache-2.0
"""Policies, weights, localities and splits among healthy hosts: the share of each host."""
from messages import (
    assignment, cluster, host, hosts, locality, split, typed, weighted,
)

BY_LOCALITY = {"locality_weighted_lb_config": {}}


def shares(weights, first=1):
    """The shares that follow from weights alone."""
    return {first + i: weight / sum(weights) for i, weight in enumerate(weights) if weight}


def case(name, why, endpoints, policy="ROUND_ROBIN", predict=None, listener=None, clusters=(),
         hold=False, eds_policy=None, connections=None, **cluster_fields):
    """A distribution case of cluster c. `endpoints` are its localities, or the hosts of its one locality."""
    if endpoints and "lb_endpoints" not in endpoints[0]:
        endpoints = [locality(None, endpoints)]
    made = {
        "name": name,
        "why": why,
        "mode": "distribution",
        "cluster": cluster("c", policy, **cluster_fields),
        "assignment": assignment("c", endpoints, **(eds_policy or {})),
        "clusters": list(clusters),
        "listener": listener or {},
        "predict": predict or {},
        "hold": hold,
    }
    if connections:
        made["connections"] = connections
    return made


def other(name, endpoints, policy="ROUND_ROBIN"):
    """A further cluster of a case."""
    return {
        "cluster": cluster(name, policy),
        "assignment": assignment(name, [locality(None, endpoints)] if endpoints else []),
    }


POLICY_CASES = [
    case("rr-one-host", "one host takes all", hosts(1), predict={1: 1.0}),
    case("rr-equal-3", "equal weights", hosts(3), predict=shares([1, 1, 1])),
    case("rr-weights-5-3-2", "shares follow the weights", weighted(5, 3, 2),
         predict=shares([5, 3, 2])),
    case("rr-weight-unset-is-1", "an unset weight is 1", [host(1), host(2, weight=3)],
         predict=shares([1, 3])),
    case("rr-weights-100-1", "a hundredth still gets its share", weighted(100, 1),
         predict=shares([100, 1])),
    case("rr-weights-primes", "weights without a short cycle", weighted(65537, 32771, 16411),
         predict=shares([65537, 32771, 16411])),
    case("rr-40-hosts", "many equal hosts", hosts(40), predict=shares([1] * 40)),
    case("rr-typed", "load_balancing_policy wins over lb_policy", weighted(2, 1), policy="RANDOM",
         predict=shares([2, 1]), load_balancing_policy=typed("round_robin")),
    case("rr-slow-start-window-0", "a window of 0 is no slow start", weighted(3, 1),
         predict=shares([3, 1]),
         round_robin_lb_config={"slow_start_config": {"slow_start_window": "0s"}}),
    case("random-equal-4", "uniform", hosts(4), policy="RANDOM", predict=shares([1] * 4)),
    case("random-ignores-weights", "RANDOM knows no weights", weighted(10, 1, 1), policy="RANDOM",
         predict=shares([1, 1, 1])),
    case("random-typed", "the typed policy, too", weighted(9, 1),
         predict=shares([1, 1]), load_balancing_policy=typed("random")),
    case("lr-equal-3", "nothing open: uniform", hosts(3), policy="LEAST_REQUEST",
         predict=shares([1, 1, 1])),
    case("lr-weights-4-2-1", "nothing open: the weights", weighted(4, 2, 1),
         policy="LEAST_REQUEST", predict=shares([4, 2, 1])),
    case("lr-equal-held", "two choices even the open connections out", hosts(4), hold=True,
         policy="LEAST_REQUEST", predict=shares([1] * 4)),
    case("lr-weights-16-4-1-held", "weight / (active + 1): shares tend to the square roots",
         weighted(16, 4, 1), hold=True, policy="LEAST_REQUEST", predict=shares([4, 2, 1])),
    case("lr-bias-0-held", "bias 0 forgets the open connections", weighted(6, 3, 1), hold=True,
         policy="LEAST_REQUEST", predict=shares([6, 3, 1]),
         least_request_lb_config={
             "active_request_bias": {"default_value": 0.0, "runtime_key": "none"}}),
    case("lr-bias-2-held", "bias 2: shares tend to the cube roots", weighted(27, 8, 1), hold=True,
         policy="LEAST_REQUEST", predict=shares([3, 2, 1]),
         least_request_lb_config={
             "active_request_bias": {"default_value": 2.0, "runtime_key": "none"}}),
    case("lr-choice-count-5-held", "five choices", hosts(5), hold=True, policy="LEAST_REQUEST",
         predict=shares([1] * 5), least_request_lb_config={"choice_count": 5}),
    case("lr-full-scan-held", "the least of all", hosts(5), hold=True,
         predict=shares([1] * 5),
         load_balancing_policy=typed("least_request", selection_method="FULL_SCAN")),
]

LOCALITY_CASES = [
    case("loc-weights-3-1", "localities by weight, hosts within evenly",
         [locality("a", hosts(2), 3), locality("b", hosts(3, first=3), 1)],
         predict=shares([3 / 8, 3 / 8, 1 / 12, 1 / 12, 1 / 12]), common_lb_config=BY_LOCALITY),
    case("loc-weights-5-3-2-hosts", "weights of localities, and of hosts within",
         [locality("a", weighted(2, 1), 5), locality("b", weighted(1, first=3), 3),
          locality("c", weighted(1, 3, first=4), 2)],
         predict=shares([1 / 3, 1 / 6, 0.3, 0.05, 0.15]), common_lb_config=BY_LOCALITY),
    case("loc-weight-unset", "a locality without weight gets nothing beside others",
         [locality("a", hosts(2), 1), locality("b", hosts(2, first=3))],
         predict=shares([1, 1]), common_lb_config=BY_LOCALITY),
    case("loc-no-weights-flat", "no weights at all: one flat list",
         [locality("a", hosts(1)), locality("b", hosts(3, first=2))],
         predict=shares([1] * 4), common_lb_config=BY_LOCALITY),
    case("loc-weights-without-config", "weights count only with locality_weighted_lb_config",
         [locality("a", hosts(1), 99), locality("b", hosts(3, first=2), 1)],
         predict=shares([1] * 4)),
    case("loc-given-twice", "merged; the last weight wins",
         [locality("a", hosts(1), 1), locality("b", hosts(1, first=2), 3),
          locality("a", hosts(1, first=3), 6)],
         predict=shares([1 / 3, 1 / 3, 1 / 3]), common_lb_config=BY_LOCALITY),
    case("loc-random-3-1", "RANDOM honours localities' weights",
         [locality("a", hosts(1), 3), locality("b", hosts(2, first=2), 1)], policy="RANDOM",
         predict=shares([6, 1, 1]), common_lb_config=BY_LOCALITY),
    case("loc-lr-2-1", "LEAST_REQUEST within a locality",
         [locality("a", weighted(3, 1), 2), locality("b", hosts(1, first=3), 1)],
         policy="LEAST_REQUEST", predict=shares([3, 1, 2]), common_lb_config=BY_LOCALITY),
    case("loc-typed-4-1", "locality_lb_config of the typed policy",
         [locality("a", hosts(2), 4), locality("b", hosts(1, first=3), 1)],
         predict=shares([2, 2, 1]),
         load_balancing_policy=typed(
             "round_robin", locality_lb_config=BY_LOCALITY)),
]

SPLIT_CASES = [
    case("split-1-2-3", "clusters by weight, each with its own policy", hosts(1),
         listener=split(c=1, d=2, e=3), predict=shares([2, 3, 1, 6]),
         clusters=[other("d", weighted(3, 1, first=2)), other("e", hosts(1, first=4))]),
    case("split-with-empty", "an empty cluster refuses its share", hosts(2),
         listener=split(c=60, d=40), clusters=[other("d", [])],
         predict={1: 0.3, 2: 0.3, "none": 0.4}),
    case("split-with-absent", "a cluster that does not exist refuses its share", hosts(2),
         listener=split(c=60, d=40), predict={1: 0.3, 2: 0.3, "none": 0.4}),
    case("split-all-absent", "a cluster that does not exist refuses", hosts(1),
         listener={"cluster": "nowhere"}, predict={"none": 1.0}),
    case("split-policies", "round robin beside random beside least request", weighted(2, 1),
         listener=split(c=50, d=30, e=20),
         clusters=[other("d", weighted(5, 1, first=3), "RANDOM"),
                   other("e", weighted(3, 1, first=5), "LEAST_REQUEST")],
         predict={1: 1 / 3, 2: 1 / 6, 3: 0.15, 4: 0.15, 5: 0.15, 6: 0.05}),
    case("split-1-999", "a thousandth", hosts(1), listener=split(c=1, d=999),
         clusters=[other("d", hosts(1, first=2))], predict=shares([1, 999])),
    case("split-twice-the-same", "a cluster named twice has both weights", hosts(2),
         listener={"weighted_clusters": {"clusters": [
             {"name": "c", "weight": 1}, {"name": "d", "weight": 1}, {"name": "c", "weight": 2}]}},
         clusters=[other("d", hosts(1, first=3))], predict=shares([3, 3, 2])),
]

DISTRIBUTION_CASES = [*POLICY_CASES, *LOCALITY_CASES, *SPLIT_CASES]
