"""Runs the cases of time (timed_cases.py) beside others, and judges them."""
import collections
import concurrent.futures
import itertools
import json
import math
import time

import cases
import processes
import timed_cases
from compare import SIGMAS, Verdict

NAMES = {"envoy": "Envoy", "sockmesh": "sockmesh"}
# Beyond the window: until both sides have their first hosts' tables.
OLD_SECONDS = timed_cases.WINDOW + 1
# sockmeshd works the weights out again each 128th of a window, on a machine that has more to do.
STEP_SECONDS = timed_cases.WINDOW / 128 + 0.15
AVERAGED = 50
PAUSE_SECONDS = 0.02
STALE_SLACK_SECONDS = 0.6

# When the arrivals were published, and by when a side had them.
Arrival = collections.namedtuple("Arrival", "published seen")
# One case at one age: who served, and when each connection began.
Burst = collections.namedtuple("Burst", "picks moments")


def addresses(localities, only=lambda _: True):
    return {"{address}:{port_value}".format(**one["endpoint"]["address"]["socket_address"]): one
            for locality in localities for one in locality["lb_endpoints"] if only(one)}


def is_healthy(host):
    return "health_status" not in host


def newcomers(case):
    """The hosts that the arrivals made eligible."""
    before = addresses(case["assignment"]["endpoints"], is_healthy)
    return set(addresses(case["arrivals"])) - set(before)


# ---- what the rules say ----


def factor(settings, age):
    if age >= timed_cases.WINDOW:
        return 1.0
    part = max(age, 0.001) / timed_cases.WINDOW
    return max(settings["least"] / 100, part ** (1 / settings["aggression"]))


def shares_at(case, age):
    """Each host's share, its arrivals being `age` seconds old."""
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
    """(least, most) share of each host, and of the new ones together, over these moments."""
    sampled = moments[:: max(1, len(moments) // AVERAGED)]
    bounds = []
    for since in (arrival.seen + STEP_SECONDS, arrival.published):
        sums = collections.Counter()
        for moment in sampled:
            sums.update(shares_at(case, moment - since))
        bounds.append({key: value / len(sampled) for key, value in sums.items()})
        bounds[-1]["new"] = sum(bounds[-1][key] for key in newcomers(case))
    return {key: tuple(sorted(bound[key] for bound in bounds)) for key in bounds[0]}


def seen_shares(case, picks):
    new = newcomers(case)
    counts = collections.Counter(picks)
    counts["new"] = sum(counts[key] for key in new)
    return {key: count / len(picks) for key, count in counts.items()}


def _outside(value, least, most):
    return max(0.0, least - value, value - most)


# ---- slow start: running ----


def order_of(case, **fields):
    return json.dumps({"vip": case["vip"], "port": case["vip_port"], "moments": True,
                       "connections": case["connections"], **fields}) + "\n"


def sleep_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))


def arrive(mesh, slow):
    """Publishes the new hosts of all cases at once; {side: Arrival}."""
    resources = []
    for case in slow:
        moved = {**case, "assignment": {**case["assignment"], "endpoints": case["arrivals"]}}
        resources += cases.resources(moved)
    wanted = {case["cluster"]["name"]: set(addresses(case["arrivals"])) for case in slow}
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

    processes.await_true("the new hosts", arrived, seconds=20)
    return arrivals


def run_slow(mesh, sides, slow, old_at):
    """({side: Arrival}, {case: {side: [Burst at each age]}})"""
    sleep_until(old_at)
    arrivals = arrive(mesh, slow)
    bursts = {case["name"]: {side: [] for side in sides} for case in slow}
    since = max(arrival.seen for arrival in arrivals.values())
    for age in timed_cases.AGES:
        sleep_until(since + age)
        futures = [(case["name"], name, side.run(order_of(case)))
                   for case in slow for name, side in sides.items()]
        for case, name, future in futures:
            answer = future.result()
            bursts[case][name].append(Burst(answer["picks"], answer["moments"]))
    return arrivals, bursts


def judge_slow(case, arrivals, bursts):
    verdict = Verdict(case)
    rule, worst = {}, collections.Counter()
    for name, of_side in bursts.items():
        verdict.no_errors(NAMES[name], [pick for burst in of_side for pick in burst.picks])
        rule[name] = [expected(case, arrivals[name], burst.moments) for burst in of_side]
    for i, _ in enumerate(timed_cases.AGES):
        seen = {name: seen_shares(case, of_side[i].picks) for name, of_side in bursts.items()}
        sizes = {name: len(of_side[i].picks) for name, of_side in bursts.items()}
        for key in rule["envoy"][i]:
            share = {name: of_side.get(key, 0.0) for name, of_side in seen.items()}
            bounds = {name: of_side[i][key] for name, of_side in rule.items()}
            off = {f"rule-{NAMES[name]}": (_outside(share[name], *bounds[name]), 1 / sizes[name])
                   for name in share}
            off["Envoy-sockmesh"] = (
                _outside(share["envoy"] - share["sockmesh"],
                         bounds["envoy"][0] - bounds["sockmesh"][1],
                         bounds["envoy"][1] - bounds["sockmesh"][0]), sum(
                             1 / size for size in sizes.values()))
            middle = sum(sum(pair) for pair in bounds.values()) / 4
            for what, (difference, inverse) in off.items():
                sigmas = difference / math.sqrt(middle * (1 - middle) * inverse)
                worst[what] = max(worst[what], sigmas)
                if sigmas > SIGMAS:
                    verdict.wrong.append(
                        f"{what}: {key} is off by {sigmas:.1f} standard deviations in burst {i + 1}:"
                        f" {share}, the rule says {bounds}")
    for name, of_side in bursts.items():
        percents = [f"{100 * seen_shares(case, burst.picks)['new']:.0f}" for burst in of_side]
        verdict.figures.append(f"{NAMES[name]} new {' '.join(percents)} %")
    verdict.figures += [f"{what} {sigmas:.1f}s" for what, sigmas in worst.items()]
    return verdict


# ---- assignments that grow stale ----


def run_stale(mesh, sides, case):
    """{side: Burst} of one long watch, during which the assignment changes."""
    watch = order_of(case, for_seconds=timed_cases.STALE_WATCH_SECONDS, pause=PAUSE_SECONDS)
    futures = {name: side.run(watch) for name, side in sides.items()}
    began = time.monotonic()
    for at, endpoints, policy in case["steps"]:
        sleep_until(began + at)
        moved = {**case, "assignment": {
            **case["assignment"], "endpoints": endpoints, "policy": policy}}
        mesh.publish(timed_cases.STALE_FILE, cases.resources(moved))
    answers = {name: future.result() for name, future in futures.items()}
    return {name: Burst(answer["picks"], answer["moments"]) for name, answer in answers.items()}


def judge_stale(case, watched):
    verdict = Verdict(case)
    hosts = [next(iter(addresses(endpoints))) for endpoints in [
        case["assignment"]["endpoints"], *(step[1] for step in case["steps"])]]
    wanted = [*hosts[:3], "none", hosts[3]]
    least, most = timed_cases.STALE_SECONDS - 0.1, timed_cases.STALE_SECONDS + STALE_SLACK_SECONDS
    for name, burst in watched.items():
        verdict.no_errors(NAMES[name], burst.picks)
        runs = [(pick, next(group)[1]) for pick, group in itertools.groupby(
            zip(burst.picks, burst.moments), key=lambda pair: pair[0])]
        served = [pick for pick, _ in runs]
        if served != wanted:
            verdict.wrong.append(f"{NAMES[name]}: served by {served}, not {wanted}")
            continue
        lasted = runs[3][1] - runs[2][1]
        verdict.figures.append(f"{NAMES[name]} stale after {lasted:.2f} s")
        if not least <= lasted <= most:
            verdict.wrong.append(
                f"{NAMES[name]}: stale after {lasted:.3f} s, not {least} to {most}")
    return verdict


# ---- both, beside other cases ----


class Timed:
    """Runs in threads of its own; old hosts are those that are published by now."""

    def __init__(self, mesh, sides, timed):
        self.cases = timed
        slow = [case for case in timed if case["mode"] == "slow"]
        old_at = time.monotonic() + OLD_SECONDS
        self.threads = concurrent.futures.ThreadPoolExecutor(2)
        self.stale = {case["name"]: self.threads.submit(run_stale, mesh, sides, case)
                      for case in timed if case["mode"] == "stale"}
        self.slow = self.threads.submit(self._slow, mesh, sides, slow, old_at) if slow else None

    def _slow(self, mesh, sides, slow, old_at):
        self.await_quiet()
        return run_slow(mesh, sides, slow, old_at)

    def await_quiet(self):
        """Until other assignments may change: a response brings all, and Envoy counts from then."""
        for future in self.stale.values():
            future.result()

    def verdicts(self):
        for case in self.cases:
            if case["mode"] == "stale":
                yield judge_stale(case, self.stale[case["name"]].result())
            else:
                arrivals, bursts = self.slow.result()
                yield judge_slow(case, arrivals, bursts[case["name"]])

    def give_up(self):
        self.threads.shutdown(wait=False, cancel_futures=True)
