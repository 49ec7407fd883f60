# SPDX-License-Identifier: Apache-2.0
"""Runs the failure traces: both sides connect through the same switches of the same endpoints."""
import collections
import concurrent.futures
import datetime
import json
import re
import threading
import time

import cases
import processes

AT_A_TIME = 8
PAUSE_SECONDS = 0.02
# Envoy writes its log every 100 ms. The last ejection may end a sweep after the trace.
LOG_SECONDS = 2.5
# Time for both sides to act on what they saw.
SETTLE_SECONDS = 0.2
# Failures that are no endpoint's fault.
NOBODYS = {"local", "abandoned"}
OUTLIER = "outlier_detection."

# What one side shows: failures by endpoint, the endpoints ejected now, counters by Envoy's names.
Reading = collections.namedtuple("Reading", "failures ejected counters")
# What one side did: its picks and its reading after each step (only after the last step if the trace
# does not decide everything), its log, and by how many seconds the machine was late.
Run = collections.namedtuple("Run", "picks readings events late")
# A line of an event log.
Event = collections.namedtuple("Event", "host ejects kind enforced at")


class Switches:
    """The process of the switched endpoints. It obeys one order at a time."""

    def __init__(self, mesh):
        self.process = mesh.switches
        self.lock = threading.Lock()

    def switch(self, states):
        if not states:
            return
        with self.lock:
            self.process.stdin.write(json.dumps(states) + "\n")
            self.process.stdin.flush()
            if self.process.stdout.readline() != "done\n":
                raise processes.NotReady("the switched endpoints ended")


def ask_envoy(path):
    for _ in range(6):  # of 10 s, on a machine that has more to do
        answer = processes.get(processes.ENVOY_ADMIN, path)
        if answer:
            return json.loads(answer)
    raise processes.NotReady(f"Envoy does not answer {path}")


def of_envoy(mesh, cluster):
    statuses = ask_envoy(f"/clusters?format=json&filter=^{re.escape(cluster)}$")
    failures, ejected = {}, set()
    for host in statuses["cluster_statuses"][0].get("host_statuses", []):
        address = "{address}:{port_value}".format(**host["address"]["socket_address"])
        values = {stat["name"]: int(stat.get("value", 0)) for stat in host["stats"]}
        failures[address] = values["cx_connect_fail"]
        if host["health_status"].get("failed_outlier_check"):
            ejected.add(address)
    stats = ask_envoy(f"/stats?format=json&filter=^cluster.{re.escape(cluster)}.{OUTLIER}")
    counters = {one["name"].split(OUTLIER)[1]: one["value"] for one in stats["stats"]}
    return Reading(failures, ejected, counters)


def of_sockmesh(mesh, cluster):
    def rows(name):
        return [row for row in mesh.map_dump(name) if row["cluster"] == cluster]

    failures = {row["endpoint"]: sum(count for reason, count in row["failed"].items()
                                     if reason not in NOBODYS) for row in rows("endpoint_stats")}
    ejected = {row["endpoint"] for row in rows("endpoint_state") if row["ejectedUntilNs"]}
    stats = rows("cluster_stats")[0]
    counters = {"ejections_overflow": stats["ejectionsOverflow"]}
    for word in ("Detected", "Enforced"):
        for detector, count in stats["ejections" + word].items():
            counters[f"ejections_{word.lower()}_{detector}"] = count
    return Reading(failures, ejected, counters)


READERS = {"envoy": of_envoy, "sockmesh": of_sockmesh}


def events_of(path, cluster):
    """The cluster's lines of an event log, in order."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            event = json.loads(line)
        except ValueError:  # half a line, because Envoy is writing it
            continue
        if event["cluster_name"] != cluster:
            continue
        at = datetime.datetime.fromisoformat(event["timestamp"].replace("Z", "+00:00"))
        found.append(Event(event["upstream_url"], event.get("action", "EJECT") == "EJECT",
                           event.get("type", "CONSECUTIVE_5XX"), event.get("enforced", False),
                           at.timestamp()))
    return found


def lengths(events, host):
    """The lengths of this host's ejections that are over."""
    made, since = [], None
    for event in events:
        if event.host != host:
            continue
        if not event.ejects and since is not None:
            made.append(event.at - since)
        since = event.at if event.ejects and event.enforced else None
    return made


def _complete(case, events):
    wanted = case["expect"].get("lengths", {})
    return all(len(lengths(events, host)) >= len(seconds) for host, seconds in wanted.items())


def await_events(case, path):
    """The log, once it has everything that the case waits for, or after a time-out."""
    cluster = case["cluster"]["name"]
    until = time.monotonic() + LOG_SECONDS
    time.sleep(0.3)
    while not _complete(case, events_of(path, cluster)) and time.monotonic() < until:
        time.sleep(0.1)
    return events_of(path, cluster)


def order_of(case, step):
    order = {"vip": case["vip"], "port": case["vip_port"],
             "connections": step.get("connects", 0), "patience": step.get("patience"),
             "pause": step.get("pause", PAUSE_SECONDS)}
    if "seconds" in step:
        order["for_seconds"] = step["seconds"]
    return json.dumps(order) + "\n"


def endpoints_of(case):
    return ["{address}:{port_value}".format(**one["endpoint"]["address"]["socket_address"])
            for locality in case["assignment"]["endpoints"] for one in locality["lb_endpoints"]]


def file_of(case):
    """The file of a case that changes its resources, in the served folder."""
    return case["name"] + ".json" if any("update" in step for step in case["trace"]) else None


def update(mesh, case, step):
    """Publishes the case as the step changes it, and waits until both sides have its endpoints."""
    if "update" not in step:
        return
    case["cluster"].update(step["update"]["cluster"])
    if step["update"]["endpoints"]:
        case["assignment"]["endpoints"] = step["update"]["endpoints"]
    mesh.publish(file_of(case), cases.resources(case))
    name, wanted = case["cluster"]["name"], set(endpoints_of(case))
    for reader in READERS.values():
        processes.await_true(f"{case['name']}: the update", seconds=20, condition=lambda: (
            set(reader(mesh, name).failures) == wanted))


def lateness(step, seconds):
    """How much longer a step took than its pauses."""
    pauses = step.get("seconds", step.get("connects", 0) * step.get("pause", PAUSE_SECONDS))
    return seconds - pauses - step.get("patience", 0) * step.get("connects", 0)


def run_case(mesh, switches, sides, case):
    """What each side did, by its name."""
    cluster = case["cluster"]["name"]
    switches.switch({address: "listen" for address in endpoints_of(case)})
    runs = {name: Run([], [], [], []) for name in sides}
    for step in case["trace"]:
        update(mesh, case, step)
        switches.switch(step["states"])
        answers = {name: side.run(order_of(case, step)) for name, side in sides.items()}
        for name, answer in answers.items():
            runs[name].picks.append(answer.result()["picks"])
            runs[name].late.append(lateness(step, answer.result()["seconds"]))
        time.sleep(SETTLE_SECONDS)
        if not case["exact"] and step is not case["trace"][-1]:
            continue
        for name, run in runs.items():
            run.readings.append(READERS[name](mesh, cluster))
    for name, run in runs.items():
        run.events.extend(await_events(case, mesh.event_log(name)))
    return runs


def run_all(mesh, sides, traces):
    """(case, what each side did, seconds) of each case, in their order."""
    switches = Switches(mesh)

    def timed(case):
        started = time.monotonic()
        return run_case(mesh, switches, sides, case), time.monotonic() - started

    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as threads:
        futures = [threads.submit(timed, case) for case in traces]
        for case, future in zip(traces, futures, strict=True):
            yield case, *future.result()
