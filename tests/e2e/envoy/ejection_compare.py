# SPDX-License-Identifier: Apache-2.0
"""Whether sockmesh ejected what Envoy ejected, by the rules of a case (ejection_cases.py)."""
import collections

import ejections
from compare import Verdict

# Seconds. Both sides sweep at each interval, on a busy machine.
SLACK_SECONDS = 0.2
# From this difference on the table says so.
LATE_SECONDS = 1.0
NAMES = {"envoy": "Envoy", "sockmesh": "sockmesh"}
ENFORCED = "ejections_enforced_"


def seconds_of(text):
    return float(text.removesuffix("s"))


def enforced_events(run):
    return collections.Counter(e.host for e in run.events if e.ejects and e.enforced)


def failures_each(run):
    """Failures for each ejection, by ejected host. Later failures belong to the next ejection.
    Hosts that were removed are left out."""
    failures = run.readings[-1].failures
    return {host: failures[host] // count for host, count in enforced_events(run).items()
            if host in failures}


def kinds(run):
    """The ejections in the log, without hosts and times. Returns are left out, because only
    sockmesh gives them a type (that of the ejection that ends). Envoy leaves the type at the
    field's default."""
    return {(e.kind, "enforced" if e.enforced else "detected") for e in run.events if e.ejects}


def settings(case):
    return case["cluster"]["outlier_detection"]


# ---- one side and the case's expectations ----


def ejected_rule(expected, run):
    ejected = run.readings[-1].ejected
    if isinstance(expected, int):
        return len(ejected) == expected, f"{len(ejected)} are ejected, not {expected}"
    return ejected == set(expected), f"ejected are {sorted(ejected)}, not {sorted(expected)}"


def failures_rule(expected, run):
    each = failures_each(run)
    return set(each.values()) == {expected}, f"failures of an ejection are {each}, not {expected}"


def none_rule(_, run):
    served = collections.Counter(run.picks[-1])
    return set(served) == {"none"}, f"not all were refused: {dict(served)}"


def only_rule(expected, run):
    served = collections.Counter(run.picks[-1])
    return set(served) == set(expected), f"served by {dict(served)}, not by all of {expected} alone"


RULES = {"ejected": ejected_rule, "failures": failures_rule, "none": none_rule, "only": only_rule}


def lasted(case, run):
    """(host, expected, seen) of each ejection whose length the case gives."""
    for host, expected in case["expect"].get("lengths", {}).items():
        seen = ejections.lengths(run.events, host)
        yield from ((host, *pair) for pair in zip(expected, seen + [None] * len(expected)))


def latest(case):
    """How much longer than its length an ejection may last."""
    return (seconds_of(settings(case)["interval"]) + SLACK_SECONDS +
            seconds_of(settings(case).get("max_ejection_time_jitter", "0s")))


def side_problems(case, run):
    for name, rule in RULES.items():
        if name in case["expect"]:
            right, text = rule(case["expect"][name], run)
            if not right:
                yield text
    for host, expected, seen in lasted(case, run):
        # The log is in whole milliseconds.
        if seen is None or not expected - 0.002 <= seen <= expected + latest(case):
            lasting = "missing" if seen is None else f"{seen:.3f} s"
            yield (f"ejection of {host}: {lasting}, not {expected} to "
                   f"{expected + latest(case):.2f} s")
    for picks in run.picks:
        yield from {pick for pick in picks if pick.startswith("error")}


# ---- both sides ----


def counted(case, reading):
    """The counters that must be equal: all, or only those of enforced ejections."""
    return {name: count for name, count in reading.counters.items()
            if count and (name.startswith(ENFORCED) and not name.endswith("_total")
                          or case["exact"] and (name == "ejections_overflow" or
                                                name.startswith("ejections_detected_")))}


def exact_problems(envoy, sockmesh):
    pairs = zip(envoy.readings, sockmesh.readings, envoy.picks, sockmesh.picks, strict=True)
    for i, (theirs, ours, their_picks, our_picks) in enumerate(pairs, 1):
        if theirs.failures != ours.failures:
            yield f"step {i}: failures {theirs.failures} and {ours.failures}"
        if theirs.ejected != ours.ejected:
            yield f"step {i}: ejected {sorted(theirs.ejected)} and {sorted(ours.ejected)}"
        if sorted(their_picks) != sorted(our_picks):
            yield (f"step {i}: served by {dict(collections.Counter(their_picks))} and "
                   f"{dict(collections.Counter(our_picks))}")


def pair_problems(case, envoy, sockmesh):
    """What differs between the sides, whichever hosts chance hit first."""
    theirs, ours = (counted(case, run.readings[-1]) for run in (envoy, sockmesh))
    if theirs != ours:
        yield f"counters {theirs} and {ours}"
    if kinds(envoy) != kinds(sockmesh):
        yield f"the logs tell of {sorted(kinds(envoy))} and {sorted(kinds(sockmesh))}"
    if "failures" in case["expect"]:
        pair = [sorted(failures_each(run).values()) for run in (envoy, sockmesh)]
        if pair[0] != pair[1]:
            yield f"failures until ejected: {pair[0]} and {pair[1]}"
    for (host, _, left), (_, _, right) in zip(lasted(case, envoy), lasted(case, sockmesh)):
        if left and right and abs(left - right) > latest(case):
            yield f"ejection of {host} lasted {left:.3f} s and {right:.3f} s"
    if case["exact"]:
        yield from exact_problems(envoy, sockmesh)


def recorded_problems(case, run):
    """What differs from what Envoy did when the case was recorded."""
    expected = case["expected"]
    failures = sorted(expected["failures_before_first_ejection"].values())
    if sorted(failures_each(run).values()) != failures:
        yield f"recorded were {failures} failures, not {sorted(failures_each(run).values())}"
    stats = {name: count for name, count in expected["outlier_detection_stats"].items()
             if name in ENFORCED_NAMES}
    if counted(case, run.readings[-1]) != stats:
        yield f"recorded were {stats}, not {counted(case, run.readings[-1])}"


ENFORCED_NAMES = {ENFORCED + kind for kind in (
    "consecutive_5xx", "consecutive_gateway_failure", "consecutive_local_origin_failure",
    "success_rate", "local_origin_success_rate", "failure_percentage",
    "local_origin_failure_percentage")}


def figures(case, run, name):
    """The figures of one side, as the table shows them."""
    reading = run.readings[-1]
    each = sorted(set(failures_each(run).values()))
    shown = f"{NAMES[name]} {len(reading.ejected)} out"
    if each:
        shown += " after " + "/".join(map(str, each))
    times = [f"{seen:.2f}" for _, _, seen in lasted(case, run) if seen]
    return shown + (" for " + " ".join(times) + " s" if times else "")


def judge(case, runs):
    verdict = Verdict(case)
    for name, run in runs.items():
        verdict.figures.append(figures(case, run, name))
        problems = [*side_problems(case, run)]
        if "expected" in case:
            problems += recorded_problems(case, run)
        if name == "envoy" and case["differs"]:
            # A known difference that is gone is also a change of Envoy or of the case.
            problems = [] if problems else ["the known difference is none any more"]
        if max(run.late) > LATE_SECONDS:
            verdict.figures.append(f"{max(run.late):.1f} s late")
        verdict.wrong += [f"{NAMES[name]}: {problem}" for problem in problems]
    if not case["differs"]:
        verdict.wrong += pair_problems(case, runs["envoy"], runs["sockmesh"])
    return verdict
