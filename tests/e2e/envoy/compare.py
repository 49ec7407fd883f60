# SPDX-License-Identifier: Apache-2.0
"""Whether what sockmesh did is what Envoy did."""
import collections
import math

# Two-sided 7e-6: with about 1,500 comparisons, one run in a hundred fails by chance.
SIGMAS = 4.5
# What is compared.
BOTH = "Envoy-sockmesh"
RULE_ENVOY = "rule-Envoy"
RULE_SOCKMESH = "rule-sockmesh"


def source(n):
    """The n-th source address of an exact case."""
    return f"127.2.{n // 250}.{n % 250 + 1}"


def sigmas_of(difference, share, *sizes):
    """`difference` of two shares, in standard deviations of independent picks."""
    if difference == 0:
        return 0.0
    variance = share * (1 - share) * sum(1 / size for size in sizes)
    return abs(difference) / math.sqrt(variance) if variance > 0 else math.inf


def against_share(picks, predict):
    """How far the counts are from the shares by the rules: (sigmas, endpoint)."""
    counts = collections.Counter(picks)
    total = len(picks)
    return max(
        (sigmas_of(counts[key] / total - predict.get(key, 0.0), predict.get(key, 0.0), total), key)
        for key in counts | collections.Counter(predict.keys())
    )


def against_picks(picks, others):
    """How far two sides' counts are from each other: (sigmas, endpoint)."""
    ours, theirs = collections.Counter(picks), collections.Counter(others)
    worst = (0.0, "")
    for key in ours | theirs:
        pooled = (ours[key] + theirs[key]) / (len(picks) + len(others))
        difference = ours[key] / len(picks) - theirs[key] / len(others)
        worst = max(worst, (sigmas_of(difference, pooled, len(picks), len(others)), key))
    return worst


def summed(shares, kind):
    made = collections.Counter()
    for key, share in shares.items():
        made[kind(key)] += share
    return made


def expand(counts):
    return [key for key, count in counts.items() for _ in range(count)]


class Verdict:
    """One row of the table: what was compared, and what is wrong with it."""

    def __init__(self, case):
        self.case = case
        self.figures = []  # "E-S 1.2s" and so on
        self.wrong = []

    def shares(self, name, worst):
        sigmas, key = worst
        self.figures.append(f"{name} {sigmas:.1f}s")
        if sigmas > SIGMAS:
            self.wrong.append(f"{name}: {key} is off by {sigmas:.1f} standard deviations")

    def equal_picks(self, name, left, right):
        differing = [i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b]
        self.figures.append(f"{name} {len(left) - len(differing)}/{len(left)}")
        if differing:
            i = differing[0]
            vips = self.case.get("vips")
            which = vips[i % len(vips)] if vips else source(i)
            self.wrong.append(
                f"{name}: {len(differing)} of {len(left)} connections differ, the first: "
                f"{which} -> {left[i]} and {right[i]}")

    def known_difference(self):
        """Judges a case with "differs": sockmesh follows the rule, and Envoy is away from it."""
        if not self.case.get("differs"):
            return
        if not any(line.startswith(RULE_ENVOY) for line in self.wrong):
            self.wrong.append("the known difference is none any more")
        self.wrong = [line for line in self.wrong if not line.startswith((RULE_ENVOY, BOTH))]

    def no_errors(self, name, picks):
        errors = collections.Counter(pick for pick in picks if pick.startswith("error"))
        for error, count in errors.items():
            self.wrong.append(f"{name}: {count} x {error}")


def judge(case, envoy, sockmesh):
    """The verdict on a case's picks. `envoy` is None for a recorded case."""
    verdict = Verdict(case)
    verdict.no_errors("sockmesh", sockmesh)
    if envoy is not None:
        verdict.no_errors("Envoy", envoy)
    if case["mode"] == "exact":
        if envoy is None:
            recorded = case["expected"]["picks"]
            envoy = [recorded[source(n)] for n in range(len(sockmesh))]
        verdict.equal_picks("Envoy=sockmesh", envoy, sockmesh)
        return verdict
    if envoy is None:
        envoy = expand(case["expected"]["counts"])
    # Shares of hosts and of zones. Fewer shares show differences better.
    kinds = [lambda pick: pick]
    if "zone_of" in case:
        kinds.append(lambda pick: case["zone_of"].get(pick, pick))
    theirs, ours = ([[kind(pick) for pick in picks] for kind in kinds]
                    for picks in (envoy, sockmesh))
    verdict.shares(BOTH, max(map(against_picks, ours, theirs)))
    if case["predict"]:
        rules = [summed(case["predict"], kind) for kind in kinds]
        verdict.shares(RULE_ENVOY, max(map(against_share, theirs, rules)))
        verdict.shares(RULE_SOCKMESH, max(map(against_share, ours, rules)))
    verdict.known_difference()
    return verdict


def counts_text(name, picks):
    """The counts of one side, for a reader."""
    counts = collections.Counter(picks)
    shown = ", ".join(f"{key} {count}" for key, count in sorted(counts.items())[:12])
    return f"{name}: {shown}{', ...' if len(counts) > 12 else ''}"
