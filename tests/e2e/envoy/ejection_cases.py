# SPDX-License-Identifier: Apache-2.0
"""Outlier detection: the same failures, the same hosts ejected, for the same time.

An ejection case adds to the other cases' form:

  trace    steps. Each step is applied to both sides before the next step. "update" replaces fields
           of the cluster or the assignment's endpoints. "refuse", "listen" and "hang" switch
           endpoints. Then both sides connect "connects" times or for "seconds", one connection
           after the other with a "pause" between
  expect   what both sides must show at the end. Every field is optional: "ejected" (the hosts, or
           how many), "failures" (of each ejected host, until it was ejected), "lengths" (by host,
           of its ejections in seconds, without jitter), "none" (all picks of the last step are
           refused) and "only" (these hosts alone have the picks of the last step)
  exact    the trace decides everything: failures of every endpoint, counters of detections and
           limits and picks of every step are equal. Without "exact", chance decides which host is
           hit first, and only ejected hosts and enforced ejections are compared
  differs  a known difference, and why
"""
import json

import messages
from distribution_cases import case
from messages import NET, host, hosts, levels, locality, panic_threshold

PORT = 9300
FOREVER = "60s"  # longer than any case


def at(number):
    return f"{NET}{number}:{PORT}"


def step(refuse=(), listen=(), hang=(), **fields):
    """One step of a trace. `fields` are connects, seconds, pause and patience."""
    states = {"refuse": refuse, "listen": listen, "hang": hang}
    return {"states": {at(n): state for state, numbers in states.items() for n in numbers},
            **fields}


def detection(**fields):
    """Quick sweeps, no return, no limit, and no detector except those that a case turns on."""
    return {"interval": "0.25s", "base_ejection_time": FOREVER, "max_ejection_time": FOREVER,
            "max_ejection_percent": 100, "consecutive_5xx": 0, "consecutive_gateway_failure": 0,
            **fields}


def eject(name, why, endpoints, trace, expect, exact=False, panic=0, differs="", window="0s",
          policy="ROUND_ROBIN", timeout="5s", listener=None, common=None, **fields):
    """`endpoints` are localities or the number of hosts. `fields` are those of OutlierDetection."""
    if isinstance(endpoints, int):
        endpoints = hosts(endpoints, port=PORT)
    made = case("eject-" + name, why, endpoints, policy=policy, listener=listener,
                connect_timeout=timeout, outlier_detection=detection(**fields),
                common_lb_config=panic_threshold(panic) | {"update_merge_window": window}
                | (common or {}))
    return {**made, "mode": "ejection", "connections": 0, "trace": trace,
            "expect": _with_addresses(expect), "exact": exact, "differs": differs}


def _with_addresses(expect):
    """`expect` with addresses instead of the hosts' numbers."""
    made = dict(expect)
    for name in ("ejected", "only"):
        if isinstance(expect.get(name), list):
            made[name] = [at(n) if isinstance(n, int) else n for n in expect[name]]
    if "lengths" in expect:
        made["lengths"] = {at(n): seconds for n, seconds in expect["lengths"].items()}
    return made


def _moved(recorded):
    return json.loads(json.dumps(recorded).replace(f":{messages.PORT}", f":{PORT}").replace(
        f": {messages.PORT}", f": {PORT}"))


def from_recorded(case):
    """A case of tests/data/envoy with its trace. Its endpoints move to the port of switched endpoints."""
    case = _moved(case)
    bad = {address: "refuse" for address in case["behaviours"]}
    expect, recording = case["expect"], case["ejection"]
    # Half of the recorded connects, so that ejected hosts are not back before the result is read.
    connects = int(recording["seconds"] / recording["pause"] / 2)
    return {**case, "exact": False, "differs": "",
            "trace": [{"states": bad, "connects": connects, "pause": recording["pause"]}],
            "expect": {"ejected": expect["ejected"], "failures": expect["failures"]}}


def one_bad(connects):
    return [step(refuse=[1], connects=connects)]


def all_bad(count, connects, then=0):
    return until(range(1, count + 1), connects, then) if then else [
        step(refuse=range(1, count + 1), connects=connects)]


def until(bad, connects, then):
    """The last of `connects` ejects the last host. Between steps both sides have time to make new
    tables. Until then sockmesh uses ejected hosts and does not refuse."""
    return [step(refuse=bad, connects=connects), step(connects=then)]


CONSECUTIVE_CASES = [
    eject("5xx-1", "the first failure ejects", 2, one_bad(20), {"ejected": [1], "failures": 1},
          consecutive_5xx=1),
    eject("5xx-3", "the third ejects", 2, one_bad(20), {"ejected": [1], "failures": 3},
          consecutive_5xx=3),
    eject("5xx-5", "the defaults: the fifth ejects, gateway failures are detected alone", 2,
          one_bad(30), {"ejected": [1], "failures": 5},
          consecutive_5xx=5, consecutive_gateway_failure=5),
    eject("5xx-0", "0 is never", 2, one_bad(40), {"ejected": []}),
    eject("gateway-first", "the lower threshold ejects, where it is enforced", 1, until([1], 2, 10),
          {"ejected": [1], "failures": 2}, exact=True, consecutive_5xx=5,
          consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100),
    eject("gateway-detected", "not enforced by default: twice detected, then 5xx ejects", 1,
          until([1], 5, 7), {"ejected": [1], "failures": 5}, exact=True,
          consecutive_5xx=5, consecutive_gateway_failure=2),
    eject("enforcing-0", "detected at every third failure, never ejected", 1, one_bad(11),
          {"ejected": []}, exact=True, consecutive_5xx=3, enforcing_consecutive_5xx=0),
    eject("success-resets", "a success ends the run", 1,
          [step(refuse=[1], connects=2), step(listen=[1], connects=1),
           step(refuse=[1], connects=2), step(listen=[1], connects=1),
           *until([1], 3, 3)],
          {"ejected": [1], "failures": 7, "none": True}, exact=True, consecutive_5xx=3),
    eject("split-local-2", "split: 5xx and gateway failures are none of a TCP proxy's", 1,
          until([1], 2, 6), {"ejected": [1], "failures": 2}, exact=True,
          split_external_local_origin_errors=True, consecutive_local_origin_failure=2,
          consecutive_5xx=1, consecutive_gateway_failure=1,
          enforcing_consecutive_gateway_failure=100),
    eject("split-default", "split: five by default", 2, one_bad(30),
          {"ejected": [1], "failures": 5}, split_external_local_origin_errors=True),
    eject("split-enforcing-0", "split: detected alone", 1, one_bad(7), {"ejected": []}, exact=True,
          split_external_local_origin_errors=True, consecutive_local_origin_failure=2,
          enforcing_consecutive_local_origin_failure=0),
    eject("plain-local-2", "not split: consecutive_local_origin_failure means nothing", 1,
          until([1], 4, 8), {"ejected": [1], "failures": 4}, exact=True,
          consecutive_local_origin_failure=2, consecutive_5xx=4),
    eject("timeout", "an attempt that runs out of time is a failure", 1,
          [step(hang=[1], connects=2, patience=1.4), step(connects=1)],
          {"ejected": [1], "failures": 2, "none": True},
          exact=True, consecutive_5xx=2, timeout="0.25s"),
    eject("timeout-gateway", "a timeout is a gateway failure", 1,
          [step(hang=[1], connects=1, patience=1.4), step(connects=1)],
          {"ejected": [1], "failures": 1, "none": True},
          exact=True, consecutive_5xx=4, timeout="0.25s",
          consecutive_gateway_failure=1, enforcing_consecutive_gateway_failure=100),
    eject("timeout-split", "split: a timeout is of local origin", 1,
          [step(hang=[1], connects=2, patience=1.4), step(connects=1)],
          {"ejected": [1], "failures": 2, "none": True},
          exact=True, timeout="0.25s", split_external_local_origin_errors=True,
          consecutive_local_origin_failure=2),
]

LIMIT_CASES = [
    eject("limit-10-of-5", "the default of 10 % ejects none of five", 5, all_bad(5, 40),
          {"ejected": []}, exact=True, consecutive_5xx=3, max_ejection_percent=10),
    eject("limit-20-of-5", "exactly 20 % are one of five", 5, all_bad(5, 60),
          {"ejected": 1, "failures": 3}, consecutive_5xx=3, max_ejection_percent=20),
    eject("limit-40-of-5", "two of five", 5, all_bad(5, 60), {"ejected": 2, "failures": 3},
          consecutive_5xx=3, max_ejection_percent=40),
    eject("limit-34-of-3", "34 % are one of three", 3, all_bad(3, 30),
          {"ejected": 1, "failures": 2}, consecutive_5xx=2, max_ejection_percent=34),
    eject("limit-33-of-3", "33 % are none of three", 3, all_bad(3, 30), {"ejected": []},
          exact=True, consecutive_5xx=2, max_ejection_percent=33),
    eject("limit-100", "all of five, then nobody is asked, whoever listens again", 5,
          [*all_bad(5, 15, then=10), step(listen=range(1, 6), connects=10)],
          {"ejected": [1, 2, 3, 4, 5], "failures": 3, "none": True}, exact=True,
          consecutive_5xx=3),
    eject("limit-split", "split, all of three", 3, all_bad(3, 6, then=10),
          {"ejected": [1, 2, 3], "failures": 2, "none": True}, exact=True,
          split_external_local_origin_errors=True, consecutive_local_origin_failure=2),
    eject("always-one", "always_eject_one_host: one, whatever the limit", 5, all_bad(5, 40),
          {"ejected": 1, "failures": 3}, consecutive_5xx=3, max_ejection_percent=10,
          always_eject_one_host=True),
    eject("always-one-of-1", "always_eject_one_host: also the only one", 1, all_bad(1, 2, then=4),
          {"ejected": [1], "failures": 2, "none": True}, exact=True, consecutive_5xx=2,
          max_ejection_percent=10, always_eject_one_host=True),
    eject("limit-10-of-10", "exactly the default of 10 %", 10, all_bad(10, 50),
          {"ejected": 1, "failures": 2}, consecutive_5xx=2, max_ejection_percent=10),
    eject("limit-priorities", "the limit counts the hosts of all priorities",
          levels(hosts(2, port=PORT), hosts(2, first=3, port=PORT)),
          [step(refuse=[1, 2], listen=[3, 4], connects=60)], {"ejected": 1, "failures": 3},
          consecutive_5xx=3, max_ejection_percent=25),
]

USE_CASES = [
    eject("panic", "all are ejected, all are used: panic", 3,
          [*all_bad(3, 24), step(listen=[1, 2, 3], connects=12)],
          {"ejected": [1, 2, 3], "only": [1, 2, 3]}, panic=50, consecutive_5xx=3),
    eject("panic-half-is-not", "two of four are half: no panic", 4,
          [step(refuse=[1, 2], listen=[3, 4], connects=40), step(listen=[1, 2], connects=12)],
          {"ejected": [1, 2], "failures": 3, "only": [3, 4]}, panic=50, consecutive_5xx=3),
    eject("next-priority", "the next priority serves", levels(hosts(1, port=PORT),
                                                              hosts(1, first=2, port=PORT)),
          [step(refuse=[1], listen=[2], connects=3), step(connects=20)],
          {"ejected": [1], "failures": 3, "only": [2]}, exact=True, consecutive_5xx=3),
    eject("random", "RANDOM", 3, [step(refuse=[1], connects=60), step(connects=20)],
          {"ejected": [1], "failures": 3, "only": [2, 3]}, policy="RANDOM", consecutive_5xx=3),
    eject("least-request", "LEAST_REQUEST", 3, [step(refuse=[1], connects=60), step(connects=20)],
          {"ejected": [1], "failures": 3, "only": [2, 3]}, policy="LEAST_REQUEST",
          consecutive_5xx=3),
    eject("ring-hash", "RING_HASH: the source's host, then the next one", 3,
          [*all_bad(3, 6), step(listen=[1, 2, 3], connects=10)],
          {"ejected": 1, "failures": 3}, policy="RING_HASH", consecutive_5xx=3,
          max_ejection_percent=34, listener={"hash_policy": [{"source_ip": {}}]}),
    eject("maglev", "MAGLEV: the source's host, then another", 3,
          [*all_bad(3, 6), step(listen=[1, 2, 3], connects=10)],
          {"ejected": 1, "failures": 3}, policy="MAGLEV", consecutive_5xx=3,
          max_ejection_percent=34, listener={"hash_policy": [{"source_ip": {}}]}),
    eject("merge-window", "update_merge_window delays no ejection", 5,
          [step(refuse=[1, 2, 3], listen=[4, 5], seconds=0.9)],
          {"ejected": [1, 2, 3], "failures": 3}, consecutive_5xx=3, window="5s",
          differs="Envoy goes on using ejected hosts until the window ends; we eject at once"),
]



def update(endpoints=None, cluster=None):
    """What a step changes in the control plane."""
    if endpoints and "lb_endpoints" not in endpoints[0]:
        endpoints = [locality(None, endpoints)]
    return {"cluster": cluster or {}, "endpoints": endpoints}


def at_port(*numbers):
    return [host(n, port=PORT) for n in numbers]


UPDATE_CASES = [
    eject("eds-keeps", "other hosts and another weight: the ejected one stays ejected", 2,
          [step(refuse=[1], connects=12),
           step(listen=[1, 3], connects=20,
                update=update([host(1, weight=3, port=PORT), *at_port(2, 3)]))],
          {"ejected": [1], "failures": 3, "only": [2, 3]}, consecutive_5xx=3),
    eject("eds-priority", "another priority: likewise", levels(at_port(1, 2)),
          [step(refuse=[1], connects=12),
           step(listen=[1, 3], connects=20, update=update(levels(at_port(2), at_port(1, 3))))],
          {"ejected": [1], "failures": 3, "only": [2]}, consecutive_5xx=3),
    eject("eds-forgets", "removed and added again: a new host", 2,
          [step(refuse=[1], connects=12), step(update=update(at_port(2))),
           step(listen=[1], connects=20, update=update(at_port(1, 2)))],
          {"ejected": [], "only": [1, 2]}, consecutive_5xx=3),
    eject("eds-limit", "an ejected host that is removed leaves the limit to others", 3,
          [step(refuse=[1], connects=20),
           step(refuse=[2], listen=[4], connects=20, update=update(at_port(2, 3, 4)))],
          {"ejected": [2], "only": [3, 4, "none"]}, consecutive_5xx=3, max_ejection_percent=34),
    eject("eds-locality", "another locality: still the same host", 2,
          [step(refuse=[1], connects=12),
           step(listen=[1, 3], connects=20, update=update([locality("b", at_port(1, 2, 3))]))],
          {"ejected": [1], "failures": 3, "only": [2, 3]}, consecutive_5xx=3,
          differs="Envoy makes a new host where the locality changes; we keep what we know"),
    eject("cds-change", "another cluster resource: still the same hosts", 2,
          [step(refuse=[1], connects=12),
           # The new host shows when the new cluster is in use. Envoy waits for an assignment.
           step(listen=[1, 3], connects=20,
                update=update(at_port(1, 2, 3), cluster={"connect_timeout": "4s"}))],
          {"ejected": [1], "failures": 3, "only": [2, 3]}, consecutive_5xx=3,
          differs="Envoy forgets all hosts where the cluster changes; we keep what we know"),
]

# A flapping host fails again before the sweep that follows its return. Later, its multiplier decays.
BACK_OFF = {"consecutive_5xx": 3, "base_ejection_time": "1s", "interval": "0.25s"}

LENGTH_CASES = [
    eject("length", "back after base_ejection_time, and used", 2,
          [step(refuse=[1], listen=[2], connects=12), step(listen=[1], seconds=1.6),
           step(connects=20)],
          {"ejected": [], "lengths": {1: [1]}, "only": [1, 2]}, **BACK_OFF),
    eject("back-off", "the second ejection is twice as long, the third is capped", 1,
          [step(refuse=[1], seconds=6.2)], {"lengths": {1: [1, 2, 2]}, "failures": 3},
          **BACK_OFF | {"max_ejection_time": "2s"}),
    eject("back-off-split", "split: likewise, two failures each time", 1,
          [step(refuse=[1], seconds=3.8)], {"lengths": {1: [1, 2]}, "failures": 2},
          split_external_local_origin_errors=True, consecutive_local_origin_failure=2,
          **BACK_OFF),
    eject("decay", "a host that behaves for some sweeps starts again", 1,
          [step(refuse=[1], seconds=1.8), step(listen=[1], seconds=3.2),
           step(refuse=[1], seconds=1.6)], {"lengths": {1: [1, 2, 1]}}, **BACK_OFF),
    eject("jitter", "max_ejection_time_jitter comes on top", 1, [step(refuse=[1], seconds=2.2)],
          {"lengths": {1: [1]}, "failures": 3}, max_ejection_time_jitter="0.5s", **BACK_OFF),
]

RATES = {"interval": "1s", "success_rate_minimum_hosts": 100, "success_rate_request_volume": 5,
         "failure_percentage_minimum_hosts": 100, "failure_percentage_request_volume": 5}
# All ten hosts, so that a sweep in the middle of a round does not evaluate only some hosts.
BY_SUCCESS = RATES | {"success_rate_minimum_hosts": 10}
BY_FAILURES = RATES | {"failure_percentage_minimum_hosts": 10}
BY_BOTH = BY_SUCCESS | {"failure_percentage_minimum_hosts": 10}
SPLIT = {"split_external_local_origin_errors": True, "consecutive_local_origin_failure": 0}


def some_bad(*numbers, seconds=2.6):
    good = set(range(1, 11)) - set(numbers)
    return [step(refuse=numbers, listen=good, seconds=seconds, pause=0.005)]


RATE_CASES = [
    eject("success-rate", "2 of 10 are below 1.9 deviations", 10, some_bad(3, 7),
          {"ejected": [3, 7]}, **BY_SUCCESS),
    eject("success-rate-3-bad", "3 of 10 never are", 10, some_bad(3, 5, 7), {"ejected": []},
          **BY_SUCCESS),
    eject("success-rate-detected", "not enforced: told alone", 10, some_bad(3, 7),
          {"ejected": []}, enforcing_success_rate=0, **BY_SUCCESS),
    eject("success-rate-split", "split: of local origin", 10, some_bad(3, 7),
          {"ejected": [3, 7]}, **BY_SUCCESS | SPLIT),
    eject("failure-percentage", "3 of 10 fail always", 10, some_bad(3, 5, 7),
          {"ejected": [3, 5, 7]}, enforcing_failure_percentage=100, **BY_FAILURES),
    eject("failure-percentage-0", "not enforced by default: told alone", 10, some_bad(3, 5, 7),
          {"ejected": []}, **BY_FAILURES),
    eject("failure-percentage-split", "split: of local origin", 10, some_bad(3, 5, 7),
          {"ejected": [3, 5, 7]}, enforcing_failure_percentage_local_origin=100,
          **BY_FAILURES | SPLIT),
    eject("rate-volume", "too few connections for a verdict", 10, some_bad(3, 7), {"ejected": []},
          enforcing_failure_percentage=100,
          **BY_BOTH | {"success_rate_request_volume": 500,
                       "failure_percentage_request_volume": 500}),
    eject("rate-both", "one sweep ejects a host once, by whatever it is an outlier", 10,
          some_bad(3, 7, seconds=3.2), {"lengths": {3: [1], 7: [1]}},
          enforcing_failure_percentage=100,
          **BY_BOTH | {"interval": "0.5s", "base_ejection_time": "1s",
                       "success_rate_request_volume": 2, "failure_percentage_request_volume": 2},
          differs="Envoy ejects the ejected a second time: twice as long, twice in its limit"),
]

EJECTION_CASES = [*CONSECUTIVE_CASES, *LIMIT_CASES, *USE_CASES, *UPDATE_CASES, *LENGTH_CASES,
                   *RATE_CASES]


def from_recorded_result(expected):
    return _moved(expected)
