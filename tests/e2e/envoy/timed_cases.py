"""Cases in which time itself decides: slow start, and assignments that grow stale.

A slow start case adds to the other cases' form "arrivals", the localities once the new hosts are
there (the assignment has those that are old by then), and "slow_start", aggression and least part.
"""
from distribution_cases import BY_LOCALITY, case
from messages import host, hosts, locality, typed, weighted

FILE = "timed.json"
# All cases have the same window and are measured at the same ages, in seconds; one is past it.
WINDOW = 20
AGES = (1, 6, 12, 21)
CONNECTIONS = 600
POLICY_FIELDS = {"ROUND_ROBIN": "round_robin_lb_config", "LEAST_REQUEST": "least_request_lb_config"}


def _config(aggression, least):
    made = {"slow_start_window": f"{WINDOW}s"}
    if aggression is not None:
        made["aggression"] = {"default_value": aggression, "runtime_key": "none"}
    if least is not None:
        made["min_weight_percent"] = {"value": least}
    return {"slow_start_config": made}


def slow(name, why, old=None, new=None, policy="ROUND_ROBIN", aggression=None, least=None,
         typed_as=None, before=None, after=None, **fields):
    """`old` hosts, joined by `new` ones; or localities `before` and `after`."""
    old, new = old or hosts(1), new or hosts(4, first=2)
    config = _config(aggression, least)
    if typed_as:
        fields["load_balancing_policy"] = typed(typed_as, **config)
    else:
        fields[POLICY_FIELDS[policy]] = config
    made = case("slow-" + name, why, before or old, policy=policy, **fields)
    return {**made, "mode": "slow", "connections": CONNECTIONS,
            "arrivals": after or [locality(None, old + new)],
            "slow_start": {"aggression": aggression or 1, "least": 10 if least is None else least}}


UNHEALTHY = hosts(5, healthy=1)

SLOW_CASES = [
    slow("rr", "new hosts begin with a tenth and grow evenly"),
    slow("rr-min-40", "or with what min_weight_percent says", least=40),
    slow("rr-min-0", "from nothing", least=0),
    slow("rr-aggression-2", "quicker at first", aggression=2.0),
    slow("rr-aggression-half", "slower at first", aggression=0.5),
    slow("rr-weights", "a part of each host's weight", weighted(8), weighted(4, 2, 6, first=2)),
    slow("lr", "LEAST_REQUEST likewise", policy="LEAST_REQUEST"),
    slow("lr-aggression-2-min-0", "LEAST_REQUEST, quicker at first", policy="LEAST_REQUEST",
         aggression=2.0, least=0),
    slow("lr-weights", "LEAST_REQUEST, a part of each host's weight", weighted(6),
         weighted(3, 1, first=2), policy="LEAST_REQUEST"),
    slow("typed-rr", "slow_start_config of the typed policy", typed_as="round_robin"),
    slow("typed-lr", "of LEAST_REQUEST, too", typed_as="least_request", aggression=0.5),
    slow("localities", "within each locality, whose shares stay", common_lb_config=BY_LOCALITY,
         before=[locality("a", hosts(1), 1), locality("b", hosts(1, first=2), 1)],
         after=[locality("a", [*hosts(1), *hosts(2, first=3)], 1),
                locality("b", hosts(1, first=2), 1)]),
    slow("recovered", "hosts that EDS calls healthy later", before=[locality(None, UNHEALTHY)],
         after=[locality(None, hosts(5))], common_lb_config={"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"}),
]

STALE_FILE = "stale.json"
STALE_SECONDS = 4
# For how long both connect without a break.
STALE_WATCH_SECONDS = 12


def _stale():
    made = case("stale", "an assignment counts as empty endpoint_stale_after after it last changed",
                hosts(1))
    policy = {"endpoint_stale_after": f"{STALE_SECONDS}s"}
    return {**made, "mode": "stale", "connections": 0, "steps": [
        # seconds after the watch began, the assignment's hosts, its policy
        (1.0, [locality(None, [host(2)])], policy),
        # Changed before it is stale: from now on.
        (3.5, [locality(None, [host(3)])], policy),
        # Empty by then, and in use again.
        (9.0, [locality(None, [host(4)])], {}),
    ]}


TIMED_CASES = [*SLOW_CASES, _stale()]
