# SPDX-License-Identifier: Apache-2.0
"""Runs the cases of time (timed_cases.py) beside other cases, and judges them."""
import collections
import concurrent.futures
import itertools
import json
import time

import cases
import processes
import timed_cases
from compare import BOTH, RULE_ENVOY, RULE_SOCKMESH, Verdict, sigmas_of

NAMES = {"envoy": "Envoy", "sockmesh": "sockmesh"}
# Seconds beyond the window, until both sides have the tables of their first hosts.
OLD_SECONDS = timed_cases.WINDOW + 1
# sockmeshd computes the weights again after each 128th of a window, on a busy machine.
STEP_SECONDS = timed_cases.WINDOW / 128 + 0.15
# The first connections of a burst are not counted. In Envoy's schedule a host keeps the weight of
# its last pick until its next pick.
LEAD_IN = 80
AVERAGED = 50
NEW = "new hosts"
PAUSE_SECONDS = 0.02
# Includes the time in which the control plane sends the assignment of a cluster that Envoy warms.
STALE_SLACK_SECONDS = 2.0

# When the arrivals were published, and when a side had them.
Arrival = collections.namedtuple("Arrival", "published seen")
# One case at one age: which host served each connection, and when the connection began.
Burst = collections.namedtuple("Burst", "picks moments")


def addresses(localities, only=lambda _: True):
    return {"{address}:{port_value}".format(**one["endpoint"]["address"]["socket_address"]): one
            for locality in localities for one in locality["lb_endpoints"] if only(one)}


def is_healthy(host):
    return "health_status" not in host


def newcomers(case):
    """The hosts that the arrivals made eligible."""
    before = addresses(case["before"], is_healthy)
    return set(addresses(case["arrivals"])) - set(before)


# ---- what the rules say ----


def factor(settings, age):
    if age >= timed_cases.WINDOW:
        return 1.0
    part = max(age, 0.001) / timed_cases.WINDOW
    return max(settings["least"] / 100, part ** (1 / settings["aggression"]))


def shares_at(case, age):
    """Each host's share when the arrivals are `age` seconds old."""
    new, grown = newcomers(case), factor(case["slow_start"], age)
    by_locality = "locality_weighted_lb_config" in case["cluster"].get("common_lb_config", {})
    shares = {}
    groups = [[one] for one in case["arrivals"]] if by_locality else [case["arrivals"]]
    for group in groups:
        part = group[0]["load_balancing_weight"] if by_locality else 1
        weights = {address: host.get("load_balancing_weight", 1) * (
            grown if address in new else 1) for address, host in addresses(group).items()}
        total = sum(weights.values())
        shares.update({key: part * weight / total for key, weight in weights.items()})
    total = sum(shares.values())
    return {key: share / total for key, share in shares.items()}


def expected(case, arrival, moments):
    """(least, most) share of each host and of all new hosts together, over these moments."""
    sampled = moments[:: max(1, len(moments) // AVERAGED)]
    bounds = []
    for since in (arrival.seen + STEP_SECONDS, arrival.published):
        sums = collections.Counter()
        for moment in sampled:
            sums.update(shares_at(case, moment - since))
        bounds.append({key: value / len(sampled) for key, value in sums.items()})
        bounds[-1][NEW] = sum(bounds[-1][key] for key in newcomers(case))
    return {key: tuple(sorted(bound[key] for bound in bounds)) for key in bounds[0]}


def seen_shares(case, picks):
    new = newcomers(case)
    counts = collections.Counter(picks)
    counts[NEW] = sum(counts[key] for key in new)
    return {key: count / len(picks) for key, count in counts.items()}


def _outside(value, least, most):
    return max(0.0, least - value, value - most)


# ---- slow start: running ----


def order_of(case, **fields):
    return json.dumps({"vip": case["vip"], "port": case["vip_port"], "moments": True,
                       "connections": LEAD_IN + case["connections"], **fields}) + "\n"


def sleep_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))


def publish(mesh, slow, key):
    """Publishes all cases' localities under `key` at once. Returns {side: Arrival}."""
    resources = []
    for case in slow:
        moved = {**case, "assignment": {**case["assignment"], "endpoints": case[key]}}
        resources += cases.resources(moved)
    wanted = {case["cluster"]["name"]: set(addresses(case[key])) for case in slow}
    readers = {"envoy": mesh.envoy_endpoints, "sockmesh": mesh.agent_endpoints}
    published = time.monotonic()
    mesh.publish(timed_cases.FILE, resources)
    arrivals = {}

    def arrived():
        for side in set(readers) - set(arrivals):
            have = readers[side]()
            if all(have.get(name) == hosts for name, hosts in wanted.items()):
                arrivals[side] = Arrival(published, time.monotonic())
        return len(arrivals) == len(readers)

    processes.await_true(f"the hosts of {key}", arrived, seconds=20)
    return arrivals


def run_slow(mesh, sides, slow, old_at):
    """({side: Arrival}, {case: {side: [Burst at each age]}})"""
    sleep_until(old_at)
    publish(mesh, slow, "before")
    arrivals = publish(mesh, slow, "arrivals")
    bursts = {case["name"]: {side: [] for side in sides} for case in slow}
    since = max(arrival.seen for arrival in arrivals.values())
    for age in timed_cases.AGES:
        sleep_until(since + age)
        futures = [(case["name"], name, side.run(order_of(case)))
                   for case in slow for name, side in sides.items()]
        for case, name, future in futures:
            answer = future.result()
            bursts[case][name].append(Burst(answer["picks"][LEAD_IN:], answer["moments"][LEAD_IN:]))
    return arrivals, bursts


def _differences(seen, bounds):
    """{what is compared: (distance from what the rules allow, sides, middle of the bounds)}."""
    made = {what: (_outside(seen[side], *bounds[side]), [side], bounds[side])
            for what, side in ((RULE_ENVOY, "envoy"), (RULE_SOCKMESH, "sockmesh"))}
    least, most = (bounds["envoy"][i] - bounds["sockmesh"][1 - i] for i in (0, 1))
    made[BOTH] = (_outside(seen["envoy"] - seen["sockmesh"], least, most), [*seen],
                  bounds["envoy"] + bounds["sockmesh"])
    return {what: (off, sides, sum(middle) / len(middle))
            for what, (off, sides, middle) in made.items()}


def compare_bursts(case, arrivals, bursts):
    """{what is compared: (sigmas, whose share)} at one moment. `bursts` are by side."""
    rules = {side: expected(case, arrivals[side], burst.moments) for side, burst in bursts.items()}
    shares = {side: seen_shares(case, burst.picks) for side, burst in bursts.items()}
    worst = {}
    for key in rules["envoy"]:
        differences = _differences({side: share.get(key, 0.0) for side, share in shares.items()},
                                   {side: rule[key] for side, rule in rules.items()})
        for what, (off, sides, share) in differences.items():
            sizes = [len(bursts[side].picks) for side in sides]
            sigmas = sigmas_of(off, share, *sizes) / case["scatter"]
            worst[what] = max(worst.get(what, (0.0, "")), (sigmas, key))
    return worst


def judge_slow(case, arrivals, bursts):
    """Judges one case. `bursts` are those of each side, by age."""
    verdict = Verdict(case)
    worst = {}
    for i, age in enumerate(timed_cases.AGES):
        at_age = {side: of_side[i] for side, of_side in bursts.items()}
        for what, (sigmas, key) in compare_bursts(case, arrivals, at_age).items():
            worst[what] = max(worst.get(what, (0.0, "")), (sigmas, f"after {age} s {key}"))
    for side, of_side in bursts.items():
        verdict.no_errors(NAMES[side], [pick for burst in of_side for pick in burst.picks])
        percents = [f"{100 * seen_shares(case, burst.picks)[NEW]:.0f}" for burst in of_side]
        verdict.figures.append(f"{NAMES[side]} {' '.join(percents)} % new")
    for what, at_worst in worst.items():
        verdict.shares(what, at_worst)
    verdict.known_difference()
    return verdict


# ---- assignments that grow stale ----


def stale_file(case):
    return case["name"] + ".json"


def run_stale(mesh, sides, case):
    """When each step was published, and {side: Burst} of one long watch over all steps."""
    for side in sides.values():
        side.await_started()
    watch = order_of(case, for_seconds=timed_cases.STALE_WATCH_SECONDS, pause=PAUSE_SECONDS)
    futures = {name: side.run(watch) for name, side in sides.items()}
    began, published = time.monotonic(), []
    for step in case["steps"]:
        sleep_until(began + step["at"])
        published.append(time.monotonic())
        moved = {**case, "cluster": case["cluster"] | step["cluster"],
                 "assignment": case["assignment"] | {
                     "endpoints": step["endpoints"], "policy": step["policy"]}}
        mesh.publish(stale_file(case), cases.resources(moved))
    answers = {name: future.result() for name, future in futures.items()}
    return published, {name: Burst(answer["picks"], answer["moments"])
                       for name, answer in answers.items()}


def runs_of(burst):
    """(host, moments) of consecutive connections that the same host served."""
    return [(pick, [moment for _, moment in group]) for pick, group in itertools.groupby(
        zip(burst.picks, burst.moments), key=lambda pair: pair[0])]


def judge_stale(case, published, watched):
    verdict = Verdict(case)
    hosts = [next(iter(addresses(endpoints))) for endpoints in [
        case["assignment"]["endpoints"], *(step["endpoints"] for step in case["steps"])]]
    wanted = [host for host, _ in itertools.groupby([*hosts[:3], "none", hosts[3]])]
    for name, burst in watched.items():
        verdict.no_errors(NAMES[name], burst.picks)
        runs = runs_of(burst)
        served = [pick for pick, _ in runs]
        if served != wanted:
            verdict.wrong.append(f"{NAMES[name]}: served by {served}, not {wanted}")
            continue
        nobody = served.index("none")
        last = runs[nobody - 1][1][-1] - published[1]
        first_refused = runs[nobody][1][0] - published[1]
        verdict.figures.append(f"{NAMES[name]} stale after {first_refused:.2f} s")
        if first_refused < timed_cases.STALE_SECONDS:
            verdict.wrong.append(f"{NAMES[name]}: stale after {first_refused:.3f} s already")
        if last > timed_cases.STALE_SECONDS + STALE_SLACK_SECONDS:
            verdict.wrong.append(f"{NAMES[name]}: not stale after {last:.3f} s")
    return verdict


# ---- slow start and stale assignments, beside other cases ----


class Timed:
    """Runs in threads of its own. Old hosts are those that are published when it starts."""

    def __init__(self, mesh, sides, timed):
        self.cases = timed
        slow = [case for case in timed if case["mode"] == "slow"]
        old_at = time.monotonic() + OLD_SECONDS
        self.threads = concurrent.futures.ThreadPoolExecutor(len(timed) + 1)
        self.stale = {case["name"]: self.threads.submit(run_stale, mesh, sides, case)
                      for case in timed if case["mode"] == "stale"}
        self.slow = self.threads.submit(run_slow, mesh, sides, slow, old_at) if slow else None

    def verdicts(self):
        for case in self.cases:
            if case["mode"] == "stale":
                yield judge_stale(case, *self.stale[case["name"]].result())
            else:
                arrivals, bursts = self.slow.result()
                yield judge_slow(case, arrivals, bursts[case["name"]])

    def give_up(self):
        self.threads.shutdown(wait=False, cancel_futures=True)
