# SPDX-License-Identifier: Apache-2.0
"""All cases, numbered. Each case has its own VIP, its own clusters and its own /24 of endpoints.

A case is a dictionary in the form of tests/data/envoy/cases/*.json: name, why, mode, cluster,
assignment, clusters, listener (fields of TcpProxy), connections, hold, and predict (a share by
endpoint; "none" is a refused connection).
"""
import copy
import json
import pathlib

import ejection_cases
import messages
from distribution_cases import DISTRIBUTION_CASES
from hash_cases import HASH_CASES
from health_cases import HEALTH_CASES
from range_cases import RANGE_CASES
from subset_cases import SUBSET_CASES
from timed_cases import TIMED_CASES
from zone_cases import ZONE_CASES

VIP_PORT = 8000
CONNECTIONS = 3000
HELD_CONNECTIONS = 600
# If all connections go to one endpoint, there is no randomness.
CERTAIN_CONNECTIONS = 500
RECORDED_CONNECTIONS = 6000
# The bytes of a case's /24. 127.1 to 127.3 and 127.100 have other uses.
NETS_OF_A_BYTE = 250
FIRST_NET = 4


def vip(index):
    return f"127.100.{index // 250}.{index % 250 + 1}"


def _keys(predict, net):
    def full(key):
        if isinstance(key, int):
            return f"{net}{key}:{messages.PORT}"
        return key.replace(messages.NET, net)

    return {full(key): share for key, share in predict.items()}


def _scoped(case):
    """The case, with cluster names that no other case uses."""
    scope = case["name"] + "."
    legs = [case, *case.get("clusters", [])]
    for leg in legs:
        leg["cluster"]["name"] = scope + leg["cluster"]["name"]
        leg["assignment"]["cluster_name"] = scope + leg["assignment"]["cluster_name"]
    routes = [proxy for _, proxy in case.get("chains", [])] or [case.setdefault("listener", {})]
    for route in routes:
        for leg in route.get("weighted_clusters", {}).get("clusters", []):
            leg["name"] = scope + leg["name"]
        if "weighted_clusters" not in route:
            route["cluster"] = scope + route.get("cluster", "c")
    if case.get("one"):
        case["one"][1] = scope + case["one"][1]
    return case


def number(case, index):
    """The case with its VIP, its addresses and its names. `index` is unique among all cases."""
    net = f"127.{FIRST_NET + index // NETS_OF_A_BYTE}.{index % NETS_OF_A_BYTE + 1}."
    predict = _keys(case.get("predict", {}), net)
    text = json.dumps({key: value for key, value in case.items() if key != "predict"})
    made = _scoped(json.loads(text.replace(messages.NET, net)))
    made["predict"] = predict
    made["vip"] = vip(index)
    made.setdefault("vip_port", VIP_PORT)
    made.setdefault("connections", _usual_connections(made))
    return made


def _usual_connections(case):
    if case.get("hold"):
        return HELD_CONNECTIONS
    return CERTAIN_CONNECTIONS if len(case["predict"]) == 1 else CONNECTIONS


def generated():
    """The cases that run on both sides, Envoy and sockmesh."""
    cases = [*DISTRIBUTION_CASES, *SUBSET_CASES, *HEALTH_CASES, *HASH_CASES, *ZONE_CASES,
             *RANGE_CASES, *TIMED_CASES, *ejection_cases.EJECTION_CASES]
    names = [case["name"] for case in cases]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise ValueError(f"names given twice: {sorted(doubled)}")
    return [number(copy.deepcopy(case), index) for index, case in enumerate(cases)]


def recorded(directory, first_index):
    """The cases of `directory`. "expected" says what a real Envoy did."""
    cases = []
    directory = pathlib.Path(directory)
    for path in sorted((directory / "cases").glob("*.json")):
        case = json.loads(path.read_text())
        expected = json.loads((directory / "expected" / path.name).read_text())
        if case["mode"] == "ejection":
            case = ejection_cases.from_recorded(case)
            expected = ejection_cases.from_recorded_result(expected)
        case = number(case, first_index + len(cases))
        case["expected"] = expected
        case["predict"] = expected.get("predict", {})
        case["connections"] = min(
            expected.get("connections", RECORDED_CONNECTIONS), RECORDED_CONNECTIONS)
        cases.append(case)
    return cases


def _listeners(case):
    name, port = case["name"], case["vip_port"]
    if "chains" not in case:
        return [messages.listener(name, case["vip"], port, case["listener"])]
    made = [messages.wildcard_listener(name, port, case["chains"])]
    if case["one"]:
        address, to = case["one"]
        made.append(messages.listener(name + ".one", address, port, {"cluster": to}))
    return made


def resources(case):
    """The xDS resources of one case."""
    made = _listeners(case)
    for leg in [case, *case.get("clusters", [])]:
        made.append({"@type": messages.TYPE + "envoy.config.cluster.v3.Cluster", **leg["cluster"]})
        made.append(
            {
                "@type": messages.TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment",
                **leg["assignment"],
            }
        )
    return made
