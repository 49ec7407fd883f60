# SPDX-License-Identifier: Apache-2.0
"""Cases in which time itself decides: slow start, and assignments that grow stale.

A slow start case adds to the other cases' form:

  before      the localities while all hosts are old
  arrivals    the localities when the new hosts have come
  slow_start  aggression and least part
  scatter     how much its picks scatter, as a fraction of independent picks
  differs     a known difference, and why

A stale case adds "steps": what its assignment becomes while both sides are watched.
"""
from distribution_cases import BY_LOCALITY, case
from messages import host, hosts, locality, panic_threshold, typed, weighted

FILE = "slow.json"
# All cases have the same window and are measured at the same ages, in seconds. The last age is past
# the window.
WINDOW = 20
AGES = (1, 6, 12, 21)
CONNECTIONS = 600
# A schedule is off from its shares by a few picks, so it scatters less than independent picks. Fewer
# connections suffice.
STEADY_CONNECTIONS = 300
STEADY_SCATTER = 0.3
POLICY_FIELDS = {"ROUND_ROBIN": "round_robin_lb_config", "LEAST_REQUEST": "least_request_lb_config"}


def _config(aggression, least):
    made = {"slow_start_window": f"{WINDOW}s"}
    if aggression is not None:
        made["aggression"] = {"default_value": aggression, "runtime_key": "none"}
    if least is not None:
        made["min_weight_percent"] = {"value": least}
    return {"slow_start_config": made}


def slow(name, why, old=None, new=None, policy="ROUND_ROBIN", aggression=None, least=None,
         typed_as=None, at_first=None, before=None, after=None, differs="", **fields):
    """`old` hosts, and `new` hosts that join them. Or the localities `before` and `after`, and the
    localities `at_first` if other hosts left earlier."""
    old, new = old or hosts(1), new or hosts(4, first=2)
    config = _config(aggression, least)
    if typed_as:
        fields["load_balancing_policy"] = typed(typed_as, **config)
    else:
        fields[POLICY_FIELDS[policy]] = config
    before = before or [locality(None, old)]
    made = case("slow-" + name, why, at_first or before, policy=policy, **fields)
    steady = policy == "ROUND_ROBIN" and typed_as != "least_request" and len(before) == 1
    return {**made, "mode": "slow", "differs": differs,
            "connections": STEADY_CONNECTIONS if steady else CONNECTIONS,
            "scatter": STEADY_SCATTER if steady else 1, "before": before,
            "arrivals": after or [locality(None, old + new)],
            "slow_start": {"aggression": aggression or 1, "least": 10 if least is None else least}}


UNHEALTHY = hosts(5, healthy=1)

SLOW_CASES = [
    slow("rr", "new hosts begin with a tenth and grow evenly"),
    slow("rr-min-40", "or with what min_weight_percent says", least=40),
    slow("rr-min-0-aggression-quarter", "or from nothing, and hardly more at first", least=0,
         aggression=0.25, differs="Envoy weighs a host as it comes and whenever it was picked: with"
                                  " almost no weight it waits for many thousand picks"),
    slow("rr-aggression-2", "quicker at first", aggression=2.0),
    slow("rr-aggression-half", "slower at first", aggression=0.5),
    slow("rr-weights", "a part of each host's weight", weighted(8), weighted(4, 2, 6, first=2)),
    slow("lr", "LEAST_REQUEST likewise", policy="LEAST_REQUEST"),
    slow("lr-aggression-2-min-5", "LEAST_REQUEST, quicker at first", policy="LEAST_REQUEST",
         aggression=2.0, least=5),
    slow("lr-weights", "LEAST_REQUEST, a part of each host's weight", weighted(6),
         weighted(3, 1, first=2), policy="LEAST_REQUEST"),
    slow("typed-rr", "slow_start_config of the typed policy", typed_as="round_robin"),
    slow("typed-lr", "of LEAST_REQUEST, too", typed_as="least_request", aggression=0.5),
    slow("localities", "within each locality, whose shares stay", common_lb_config=BY_LOCALITY,
         before=[locality("a", hosts(1), 1), locality("b", hosts(1, first=2), 1)],
         after=[locality("a", [*hosts(1), *hosts(2, first=3)], 1),
                locality("b", hosts(1, first=2), 1)]),
    slow("returned", "hosts that were away are new again", at_first=[locality(None, hosts(5))],
         before=[locality(None, hosts(1))], after=[locality(None, hosts(5))]),
    slow("recovered", "hosts that EDS calls healthy later", before=[locality(None, UNHEALTHY)],
         after=[locality(None, hosts(5))],
         common_lb_config=panic_threshold(0) | {"update_merge_window": "0s"}),
]

STALE_SECONDS = 4
# Seconds for which both sides connect without a break.
STALE_WATCH_SECONDS = 12


def step(at, number, policy=None, **cluster_fields):
    """The only host has this number from `at` seconds after the beginning of the watch."""
    return {"at": at, "endpoints": [locality(None, [host(number)])], "policy": policy or {},
            "cluster": cluster_fields}


def stale(name, why, *steps):
    """Begins with host 1. The second step is the last step before the assignment is stale."""
    made = case(name, why, hosts(1))
    return {**made, "mode": "stale", "connections": 0, "steps": list(steps)}


STALE = {"endpoint_stale_after": f"{STALE_SECONDS}s"}

STALE_CASES = [
    stale("stale", "empty endpoint_stale_after after it last changed, in use when it does again",
          step(1, 2, STALE), step(3.5, 3, STALE), step(9.5, 4)),
    # sockmesh-xds sends the assignment of a changed cluster again.
    stale("stale-resent", "an assignment that comes again unchanged is as fresh as one that changed",
          step(1, 2, STALE), step(3.5, 2, STALE, connect_timeout="4s"),
          step(9.5, 4, connect_timeout="4s")),
]

TIMED_CASES = [*SLOW_CASES, *STALE_CASES]
