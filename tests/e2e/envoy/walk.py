# SPDX-License-Identifier: Apache-2.0
"""Envoy as a client of sockmesh-xds: additions, changes, removals, and a restart of the server while resources
change. Envoy has to accept everything, and to have exactly what is served. So has sockmeshd."""
import json

import processes
from answers import LINE
from messages import TYPE, assignment, cluster, host, listener, locality

FILE = "walk.json"
SECONDS = 90
NET = "127.200.0."
ADDRESS, PORT = "127.201.0.1", 9191  # peers.py listens on the hosts' ports of every address
CLUSTER = TYPE + "envoy.config.cluster.v3.Cluster"
ASSIGNMENT = TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
ROUTES = TYPE + "envoy.config.route.v3.RouteConfiguration"
MANAGER = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = TYPE + "envoy.extensions.filters.http.router.v3.Router"


def service(name, numbers, **fields):
    """A cluster and its endpoints."""
    endpoints = json.dumps([locality(None, [host(number) for number in numbers])]).replace("127.1.X.", NET)
    return [{"@type": CLUSTER, **cluster(name, **fields)},
            {"@type": ASSIGNMENT, **assignment(name, json.loads(endpoints))}]


def tcp(name, port, target):
    return [listener(name, ADDRESS, port, {"cluster": target})]


def http(name, port):
    """A listener whose routes are a resource of their own."""
    manager = {"@type": MANAGER, "stat_prefix": name,
               "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
               "rds": {"route_config_name": "walk-routes",
                       "config_source": {"ads": {}, "resource_api_version": "V3"}}}
    made = listener(name, ADDRESS, port, {})
    made["filter_chains"] = [{"filters": [{"name": "http", "typed_config": manager}]}]
    return [made]


def routes(target):
    return [{"@type": ROUTES, "name": "walk-routes", "virtual_hosts": [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": target}}]}]}]


# (what happens, resources). A restart happens before the resources of its step are served.
STEPS = [
    ("a service", service("walk-a", [1, 2]) + tcp("walk-one", PORT, "walk-a")),
    ("one more, with routes", service("walk-a", [1, 2]) + service("walk-b", [3]) + tcp("walk-one", PORT, "walk-a")
     + http("walk-http", PORT + 1) + routes("walk-b")),
    ("other endpoints", service("walk-a", [2, 4]) + service("walk-b", [3, 5]) + tcp("walk-one", PORT, "walk-a")
     + http("walk-http", PORT + 1) + routes("walk-b")),
    ("other routes and settings", service("walk-a", [2, 4], connect_timeout="3s", outlier_detection={})
     + service("walk-b", [3, 5], policy="MAGLEV") + tcp("walk-one", PORT, "walk-a") + http("walk-http", PORT + 1)
     + routes("walk-a")),
    ("restart: the same", None),
    ("restart: one less, one more, one changed", service("walk-a", [6]) + service("walk-c", [7])
     + tcp("walk-one", PORT, "walk-c")),
    ("restart: nothing", []),
    ("again", service("walk-a", [1]) + tcp("walk-one", PORT, "walk-a")),
]


def expected(resources):
    """(endpoints by cluster, names of listeners, clusters of the routes)."""
    endpoints, listeners, targets = {}, set(), set()
    for one in resources:
        if one["@type"] == ASSIGNMENT:
            endpoints[one["cluster_name"]] = {
                "{address}:{port_value}".format(**host["endpoint"]["address"]["socket_address"])
                for group in one["endpoints"] for host in group["lb_endpoints"]}
        elif one["@type"] == ROUTES:
            targets = {one["virtual_hosts"][0]["routes"][0]["route"]["cluster"]}
        elif one["@type"] != CLUSTER:
            listeners.add(one["name"])
    return endpoints, listeners, targets


def ours(endpoints, listeners):
    return ({name: of for name, of in endpoints.items() if name.startswith("walk-")},
            {name for name in listeners if name.startswith("walk-")})


def envoy_routes():
    dump = json.loads(processes.get(processes.ENVOY_ADMIN, "/config_dump?resource=dynamic_route_configs") or "{}")
    return {route["route"]["cluster"] for one in dump.get("configs", [])
            for virtual in one["route_config"].get("virtual_hosts", []) for route in virtual["routes"]
            if one["route_config"]["name"] == "walk-routes"}


def has(mesh, resources):
    """Whether both sides have these, and nothing else of this walk. Envoy shows the routes of a removed listener for as
    long as the listener drains."""
    endpoints, listeners, targets = expected(resources)
    return ((endpoints, listeners) == ours(mesh.envoy_endpoints(), mesh.envoy_has()[1])
            and (not targets or targets == envoy_routes())
            and (endpoints, listeners) == ours(mesh.agent_endpoints(), mesh.agent_has()[1]))


def rejections(mesh):
    """What a side did not accept, from sockmesh-xds' log."""
    matches = (LINE.search(line) for line in mesh.log("xds").splitlines())
    return [match[0] for match in matches if match and match[2] == "NACK"]


def run(mesh):
    """Yields (what happened, "" or what is wrong)."""
    serving = []
    for what, resources in STEPS:
        restart = what.startswith("restart")
        serving = serving if resources is None else resources
        if restart:
            mesh.stop_xds()
        mesh.publish(FILE, serving)
        if restart:
            mesh.start_xds()
        try:
            processes.await_true(what, lambda now=serving: has(mesh, now), SECONDS, alive=[mesh.envoy, mesh.agent])
        except processes.NotReady as error:
            sides = ours(mesh.envoy_endpoints(), mesh.envoy_has()[1]), ours(mesh.agent_endpoints(), mesh.agent_has()[1])
            yield what, f"{error}; Envoy and sockmeshd have {sides}, routes to {envoy_routes()}"
            continue
        yield what, ""
    mesh.withdraw(FILE)
