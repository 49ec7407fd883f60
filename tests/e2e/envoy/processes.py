# SPDX-License-Identifier: Apache-2.0
"""Envoy, sockmeshd, sockmesh-xds, the endpoints and the clients, as processes of this sandbox."""
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

from zone_cases import CALLERS_CLUSTER, NODE_LOCALITY

HERE = pathlib.Path(__file__).resolve().parent
XDS_PORT = 18000
ENVOY_ADMIN = "127.0.0.1:15100"
AGENT_ADMIN = "127.0.0.1:15101"
START_SECONDS = 120


class NotReady(Exception):
    pass


def await_true(what, condition, seconds=START_SECONDS, alive=()):
    """Asks `condition` until it is true. Raises NotReady after `seconds`, or if a process of `alive` ends."""
    until = time.monotonic() + seconds
    while not condition():
        for process in alive:
            if process.poll() is not None:
                raise NotReady(f"{what}: {process.args[0]} ended with {process.returncode}")
        if time.monotonic() > until:
            raise NotReady(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def get(address, path):
    """The body, or None if there is no answer or no success."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return ""


def _address(host):
    return "{address}:{port_value}".format(**host["address"]["socket_address"])


API_TYPES = {"sotw": "GRPC", "delta": "DELTA_GRPC"}


def _bootstrap(admin, event_log, protocol):
    host, port = admin.split(":")
    ads = {"ads": {}, "resource_api_version": "V3"}
    http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}
    xds = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": XDS_PORT}}}
    return {
        "node": {"id": "envoy", "cluster": "test", "locality": NODE_LOCALITY},
        "cluster_manager": {"outlier_detection": {"event_log_path": str(event_log)},
                            "local_cluster_name": CALLERS_CLUSTER["name"]},
        "admin": {"address": {"socket_address": {"address": host, "port_value": int(port)}}},
        "dynamic_resources": {
            "ads_config": {"api_type": API_TYPES[protocol], "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]},
            "cds_config": ads, "lds_config": ads},
        "static_resources": {"clusters": [CALLERS_CLUSTER, {
            "name": "xds", "type": "STATIC", "connect_timeout": "5s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
            "load_assignment": {"cluster_name": "xds", "endpoints": [
                {"lb_endpoints": [{"endpoint": xds}]}]}}]},
    }


class Mesh:
    """All processes. `work` holds their configurations and logs."""

    def __init__(self, binaries, envoy, cgroup, work, protocol="sotw"):
        self.binaries, self.envoy_binary, self.cgroup, self.work = binaries, envoy, cgroup, work
        self.protocol = protocol
        self.folder = work / "xds"
        self.folder.mkdir()
        self.bpffs = work / "bpf"
        self.running = []

    def start(self, name, *command):
        log = open(self.work / f"{name}.log", "a")  # of all processes of this name
        process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        self.running.append(process)
        return process

    def log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")

    def event_log(self, side):
        """The file in which this side ("envoy" or "sockmesh") logs ejections."""
        return self.work / f"{side}.ejections"

    def publish(self, name, resources):
        """Puts a file into the served folder, whole or not at all."""
        hidden = self.folder / ("." + name)
        hidden.write_text(json.dumps({"resources": resources}))
        os.rename(hidden, self.folder / name)

    def withdraw(self, name):
        (self.folder / name).unlink()

    def start_all(self, ports):
        peers = self.start("peers", sys.executable, HERE / "peers.py", *ports)
        await_true("the endpoints", lambda: "ready" in self.log("peers"), alive=[peers])
        self.switches = self.start_told("switched.py")
        self.start_xds()
        self.start_envoy()
        self.start_agent()

    def start_xds(self):
        port_file = self.work / "xds.port"
        port_file.unlink(missing_ok=True)
        self.xds = self.start("xds", self.binaries / "sockmesh-xds", "--listen",
                              f"127.0.0.1:{XDS_PORT}", "--port-file", port_file, self.folder)
        await_true("sockmesh-xds", port_file.exists, alive=[self.xds])

    def stop_xds(self):
        self.xds.kill()
        self.xds.wait()

    def start_envoy(self):
        config = self.work / "envoy.json"
        config.write_text(json.dumps(_bootstrap(ENVOY_ADMIN, self.event_log("envoy"), self.protocol)))
        self.envoy = self.start("envoy", self.envoy_binary, "-c", config, "--concurrency", 1,
                                "--disable-hot-restart", "--log-level", "warning",
                                "--file-flush-interval-msec", 100)

    def start_agent(self):
        config = self.work / "sockmeshd.json"
        config.write_text(json.dumps({
            "node": {"id": "sockmesh", "locality": NODE_LOCALITY},
            "load_balancing": {"local_cluster": CALLERS_CLUSTER["name"]},
            "ads": {"address": f"127.0.0.1:{XDS_PORT}", "protocol": self.protocol.upper()},
            "datapath": {"cgroup_root": str(self.cgroup), "bpffs_root": str(self.bpffs)},
            "outlier_detection": {"event_log_path": str(self.event_log("sockmesh"))},
            "admin": {"address": AGENT_ADMIN, "socket": "none"}}))
        self.agent = self.start("sockmeshd", self.binaries / "sockmeshd", "--config", config)

    def await_ready(self):
        def envoy_ready():
            return get(ENVOY_ADMIN, "/ready").startswith("LIVE")

        def agent_ready():
            return get(AGENT_ADMIN, "/readyz") != ""

        await_true("Envoy", envoy_ready, alive=[self.envoy])
        await_true("sockmeshd", agent_ready, alive=[self.agent])

    def envoy_has(self):
        """The names of the clusters and of the listeners that Envoy serves."""
        clusters = json.loads(get(ENVOY_ADMIN, "/clusters?format=json") or "{}")
        listeners = json.loads(get(ENVOY_ADMIN, "/listeners?format=json") or "{}")
        return ({one["name"] for one in clusters.get("cluster_statuses", [])},
                {one["name"] for one in listeners.get("listener_statuses", [])})

    def agent_has(self):
        """The same for sockmeshd, which names a part of a listener "LISTENER/PART"."""
        dump = json.loads(get(AGENT_ADMIN, "/config_dump") or "{}")
        return ({one["name"] for one in dump.get("clusters", [])},
                {one["name"].split("/")[0] for one in dump.get("listeners", [])})

    def envoy_endpoints(self):
        """The addresses that Envoy serves, by cluster."""
        clusters = json.loads(get(ENVOY_ADMIN, "/clusters?format=json") or "{}")
        return {one["name"]: {_address(host) for host in one.get("host_statuses", [])}
                for one in clusters.get("cluster_statuses", [])}

    def agent_endpoints(self):
        """The same for sockmeshd."""
        dump = json.loads(get(AGENT_ADMIN, "/config_dump") or "{}")
        return {one["name"]: {host["address"] for locality in one["localities"]
                              for host in locality["endpoints"]}
                for one in dump.get("assignments", [])}

    def client(self, side):
        arguments = [side, str(self.cgroup)] if side == "sockmesh" else [side]
        return self.start_told("client.py", *arguments)

    def start_told(self, script, *arguments):
        """Starts a script of this folder that takes orders from its stdin."""
        process = subprocess.Popen([sys.executable, HERE / script, *arguments], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.running.append(process)
        return process

    def map_dump(self, name):
        """A map of sockmesh, as rows."""
        command = [self.binaries / "sockmeshctl", "--bpffs-root", self.bpffs, "-o", "json",
                   "map", "dump", name]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["items"]

    def stop(self):
        for process in reversed(self.running):
            process.kill()
            process.wait()
