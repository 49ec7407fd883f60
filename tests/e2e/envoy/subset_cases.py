# SPDX-License-Identifier: Apache-2.0
"""Subsets by metadata: which hosts match a route's criteria, and what happens if no host matches."""
from distribution_cases import case, shares
from messages import host, levels, match, panic_threshold, typed

VERSIONS = [
    host(1, labels={"version": "v1", "stage": "prod"}),
    host(2, labels={"version": "v1", "stage": "canary"}),
    host(3, labels={"version": "v2", "stage": "prod"}),
    host(4),
]


def subsets(fallback="NO_FALLBACK", selectors=(("version",),), **fields):
    return {"lb_subset_config": {
        "fallback_policy": fallback,
        "subset_selectors": [{"keys": list(keys)} for keys in selectors], **fields}}


MATCH_CASES = [
    case("subset-match", "only hosts with the label", VERSIONS, predict=shares([1, 1]),
         listener={"metadata_match": match(version="v1")}, **subsets()),
    case("subset-two-keys", "all keys of the selector", VERSIONS, predict={1: 1.0},
         listener={"metadata_match": match(version="v1", stage="prod")},
         **subsets(selectors=(("version",), ("stage", "version")))),
    case("subset-no-fallback", "no such subset: refused", VERSIONS, predict={"none": 1.0},
         listener={"metadata_match": match(version="v9")}, connections=200, **subsets()),
    case("subset-fallback-any", "no such subset: any endpoint", VERSIONS, predict=shares([1] * 4),
         listener={"metadata_match": match(version="v9")}, **subsets("ANY_ENDPOINT")),
    case("subset-fallback-default", "no such subset: the default one", VERSIONS,
         predict={3: 1.0}, listener={"metadata_match": match(version="v9")},
         **subsets("DEFAULT_SUBSET", default_subset={"version": "v2"})),
    case("subset-no-criteria", "nothing asked for: the fallback policy", VERSIONS,
         predict={"none": 1.0}, connections=200, **subsets()),
    case("subset-keys-not-selected", "criteria must be the keys of a selector", VERSIONS,
         predict={"none": 1.0}, connections=200,
         listener={"metadata_match": match(stage="prod")}, **subsets()),
    case("subset-by-leg", "each leg of a split asks for its own", VERSIONS,
         listener={"weighted_clusters": {"clusters": [
             {"name": "c", "weight": 3, "metadata_match": match(version="v1")},
             {"name": "c", "weight": 1, "metadata_match": match(version="v2")}]}},
         predict=shares([3 / 8, 3 / 8, 1 / 4]), **subsets()),
]

# Hosts of the default subset in every state, beside one that is healthy.
DEFAULT_V2 = {"default_subset": {"version": "v2"}, "panic_mode_any": True}


def v2_is(health, *more):
    return [host(1, labels={"version": "v1"}), host(2, health=health, labels={"version": "v2"}),
            *more]


def selector(*keys, fallback=None, fewer=None):
    made = {"keys": list(keys)}
    if fallback:
        made["fallback_policy"] = fallback
    if fewer:
        made["fallback_keys_subset"] = list(fewer)
    return made


def selectors(*all_of_them, fallback="NO_FALLBACK", **fields):
    return {"lb_subset_config": {
        "fallback_policy": fallback, "subset_selectors": list(all_of_them), **fields}}


ASKED = {"metadata_match": match(version="v9")}


def panic_any(name, why, endpoints, predict, policy="ROUND_ROBIN", listener=None, config=None,
              threshold=0, **fields):
    config = config or subsets("DEFAULT_SUBSET", **DEFAULT_V2)
    return case("subset-panic-any-" + name, why, endpoints, policy, predict=predict,
                listener=listener or ASKED, common_lb_config=panic_threshold(threshold),
                connections=None if len(predict) > 1 else 200, **config, **fields)


SOURCE_HASH = {"hash_policy": [{"source_ip": {}}], **ASKED}

PANIC_ANY_CASES = [
    panic_any("nobody", "nobody is in the default subset: any endpoint", v2_is(None, host(3)),
              shares([1] * 3), config=subsets(
                  "DEFAULT_SUBSET", default_subset={"version": "v7"}, panic_mode_any=True)),
    panic_any("unhealthy", "no host of the default subset can be used: any endpoint",
              v2_is("UNHEALTHY", host(3)), shares([1, 0, 1])),
    panic_any("unhealthy-random", "RANDOM, too", v2_is("UNHEALTHY", host(3)), shares([1, 0, 1]),
              "RANDOM"),
    panic_any("unhealthy-panic", "the default subset is in panic itself: its hosts are used",
              v2_is("UNHEALTHY", host(3)), {2: 1.0}, threshold=50),
    panic_any("degraded", "degraded hosts of the default subset are used", v2_is("DEGRADED"),
              {2: 1.0}),
    panic_any("degraded-maglev", "MAGLEV knows healthy hosts alone: any endpoint",
              v2_is("DEGRADED"), {1: 1.0}, "MAGLEV", SOURCE_HASH),
    panic_any("degraded-ring", "RING_HASH, too", v2_is("DEGRADED"), {1: 1.0}, "RING_HASH",
              SOURCE_HASH),
    panic_any("all-unhealthy", "nor can any other endpoint: refused",
              [host(1, health="UNHEALTHY"), host(2, health="UNHEALTHY",
                                                 labels={"version": "v2"})], {"none": 1.0}),
    panic_any("matched", "a subset that matches has no other", v2_is("UNHEALTHY"), {"none": 1.0},
              listener={"metadata_match": match(version="v2")}),
    panic_any("no-fallback", "NO_FALLBACK of the cluster: refused", v2_is(None), {"none": 1.0},
              config=subsets(panic_mode_any=True)),
    panic_any("selector-no-fallback", "a selector's NO_FALLBACK: refused", v2_is(None),
              {"none": 1.0},
              config=selectors(selector("version", fallback="NO_FALLBACK"),
                               fallback="DEFAULT_SUBSET", **DEFAULT_V2)),
    panic_any("selector-default", "a selector's DEFAULT_SUBSET that nobody matches: refused",
              v2_is(None), {"none": 1.0},
              config=selectors(selector("version", fallback="DEFAULT_SUBSET"),
                               fallback="DEFAULT_SUBSET", default_subset={"version": "v7"},
                               panic_mode_any=True)),
    panic_any("selector-default-unhealthy", "a selector's DEFAULT_SUBSET without a usable host",
              v2_is("UNHEALTHY"), {"none": 1.0},
              config=selectors(selector("version", fallback="DEFAULT_SUBSET"),
                               fallback="DEFAULT_SUBSET", **DEFAULT_V2)),
    panic_any("fewer-keys", "fewer keys lead to the cluster's own fallback",
              v2_is("UNHEALTHY", host(3)), shares([1, 0, 1]),
              listener={"metadata_match": match(stage="prod", version="v9")},
              config=selectors(
                  selector("stage", "version", fallback="KEYS_SUBSET", fewer=["version"]),
                  selector("version"), fallback="DEFAULT_SUBSET", **DEFAULT_V2)),
    panic_any("priorities", "the default subset has a second priority",
              [*levels(v2_is("UNHEALTHY"), [host(3, labels={"version": "v2"})])], {3: 1.0}),
]


def order(name, why, predict, *all_of_them, criteria=None, **fields):
    return case("subset-selectors-" + name, why, VERSIONS, predict=predict,
                connections=None if len(predict) > 1 else 200,
                listener={"metadata_match": match(**(criteria or {"version": "v9"}))},
                **selectors(*all_of_them, **fields))


ANY = "ANY_ENDPOINT"
LONGER = ("version", "zone")
# Envoy keeps selectors in a tree of their sorted keys. A fallback is kept only if its selector adds
# the last key to the tree.
SELECTOR_CASES = [
    order("short-first", "the shorter one first", shares([1] * 4),
          selector("version", fallback=ANY), selector(*LONGER, fallback="NO_FALLBACK")),
    order("long-first", "the longer one first, with a fallback", {"none": 1.0},
          selector(*LONGER, fallback="NO_FALLBACK"), selector("version", fallback=ANY)),
    order("long-first-any", "the longer one first, with the same fallback", {"none": 1.0},
          selector(*LONGER, fallback=ANY), selector("version", fallback=ANY)),
    order("long-first-undefined", "the longer one first, without a fallback", {"none": 1.0},
          selector(*LONGER), selector("version", fallback=ANY)),
    order("long-first-cluster", "the longer one first: the shorter one has the cluster's fallback",
          shares([1] * 4), selector(*LONGER, fallback="NO_FALLBACK"),
          selector("version", fallback="NO_FALLBACK"), fallback=ANY),
    order("prefix", "no selector has these keys; one begins with them", shares([1] * 4),
          selector(*LONGER, fallback=ANY), fallback=ANY),
    order("prefix-undefined", "no selector has these keys", shares([1] * 4), selector(*LONGER),
          fallback=ANY),
    order("not-a-prefix", "no selector begins with these keys", shares([1] * 4),
          selector(*LONGER, fallback="NO_FALLBACK"), criteria={"zone": "a"}, fallback=ANY),
    order("twice", "the same keys twice: the first counts", shares([1] * 4),
          selector("version", fallback=ANY), selector("version", fallback="NO_FALLBACK")),
    order("twice-undefined", "the same keys twice: the first counts, also without a fallback",
          {"none": 1.0}, selector("version"), selector("version", fallback=ANY)),
    order("long-first-match", "a subset that is there is found all the same", {3: 1.0},
          selector(*LONGER, fallback="NO_FALLBACK"), selector("version", fallback=ANY),
          criteria={"version": "v2"}),
]


def redundant(name, why, predict, *all_of_them, criteria, fallback="NO_FALLBACK", **fields):
    config = typed("subset", fallback_policy=fallback, subset_selectors=list(all_of_them),
                   allow_redundant_keys=True, subset_lb_policy=typed("round_robin"), **fields)
    return case("subset-redundant-" + name, why, VERSIONS, predict=predict,
                connections=None if len(predict) > 1 else 200,
                listener={"metadata_match": match(**criteria)}, load_balancing_policy=config)


REDUNDANT_CASES = [
    redundant("match", "keys that no selector has are left out", shares([1, 1]),
              selector("version"), criteria={"version": "v1", "x": "y"}),
    redundant("fallback", "the selector's fallback, too", shares([1] * 4),
              selector("version", fallback=ANY), criteria={"version": "v9", "x": "y"}),
    redundant("long-first", "the longer one first", {"none": 1.0},
              selector(*LONGER, fallback="NO_FALLBACK"), selector("version", fallback=ANY),
              criteria={"version": "v9", "x": "y"}),
    redundant("undefined", "a selector without a fallback: the cluster's", shares([1] * 4),
              selector("version"), criteria={"version": "v9", "x": "y"}, fallback=ANY),
    redundant("longest", "the selector with the most keys goes first", {1: 1.0},
              selector("version"), selector("stage", "version"),
              criteria={"version": "v1", "stage": "prod", "x": "y"}),
    redundant("longest-missing", "the selector with the most keys has no such subset",
              {"none": 1.0}, selector("version"), selector("stage", "version"),
              criteria={"version": "v1", "stage": "gone", "x": "y"}),
    redundant("prefix", "not all keys of any selector", shares([1] * 4),
              selector(*LONGER, fallback="NO_FALLBACK"), criteria={"version": "v1", "x": "y"},
              fallback=ANY),
]

SUBSET_CASES = [*MATCH_CASES, *PANIC_ANY_CASES, *SELECTOR_CASES, *REDUNDANT_CASES]
