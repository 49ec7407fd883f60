#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The image under runc, as the chart runs it: its capabilities, seccomp profile, mounts, memory limit, a read-only root
and a cgroup namespace of its own. `make test-pod`; root. What is missing on this machine is skipped loudly.

    pod_test.py build [unittest arguments]

The agent attaches to a cgroup of the test, never to the node's root, and everything lives in namespaces that end with
the test."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chart"))
import tools
import bundle
import services

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
XDS = "127.0.0.1:18000"
VIP, PORT = "10.96.0.80", 80
# The line of an agent that lacks a capability: what the kernel refused, and what the capability is for.
NEEDED = {"BPF": "Operation not permitted; .*CAP_BPF to make maps and to load programs",
          "NET_ADMIN": "Operation not permitted; .*CAP_NET_ADMIN to attach programs to the connections of a cgroup",
          "PERFMON": "loading the BPF programs.*; .*CAP_PERFMON to read how connections end"}
BUILD = None


def rendered():
    """The agent's container and its configuration file, as helm renders them for a plaintext control plane."""
    said = subprocess.run([HELM, "template", "pod", ROOT / "charts/sockmesh", "--kube-version", "1.33.0",
                           "--set", f"xds.address={XDS}", "--set", "xds.tls.enabled=false",
                           "--set", "config.datapath.cgroup_root=/host/cgroup", "--set", "logging.json=false",
                           "--set", "metrics.host=127.0.0.1"], capture_output=True, text=True, check=True).stdout
    read = "import json, sys, yaml; print(json.dumps([one for one in yaml.safe_load_all(sys.stdin) if one]))"
    found = json.loads(subprocess.run([PYTHON, "-c", read], input=said, capture_output=True, text=True, check=True).stdout)
    agent = next(one for one in found if one["kind"] == "DaemonSet" and not one["metadata"]["name"].endswith("cleanup"))
    config = next(one["data"]["sockmeshd.yaml"] for one in found
                  if one["kind"] == "ConfigMap" and "sockmeshd.yaml" in one["data"])
    return agent["spec"]["template"]["spec"]["containers"][0], config


def cgroup2():
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        if line.split()[2] == "cgroup2":
            return pathlib.Path(line.split()[1])
    raise unittest.SkipTest("no cgroup v2 is mounted")


class Pod:
    """One run of the agent's container."""

    def __init__(self, test, **how):
        self.test, self.name = test, f"sockmesh-pod-{os.getpid()}-{test.counter()}"
        self.log = test.folder / f"{self.name}.log"
        test.bundle.write("/" + self.name, environment=["POD_NAME=agent", "POD_NAMESPACE=mesh", "POD_IP=10.0.0.9",
                                                        "POD_IPS=10.0.0.9", "NODE_NAME=node"], **how)
        with self.log.open("w") as log:
            self.process = subprocess.Popen([RUNC, "--root", test.folder / "runc", "run", "--bundle",
                                             test.bundle.folder, self.name], stdout=log, stderr=subprocess.STDOUT,
                                            stdin=subprocess.DEVNULL)
        test.addCleanup(self.end)

    def said(self):
        return self.log.read_text()

    def run(self, *command):
        """A program of the image inside the container: (exit code, output)."""
        done = subprocess.run([RUNC, "--root", self.test.folder / "runc", "exec", self.name,
                               *command], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr

    def await_ready(self, patience=60):
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError("the agent ended:\n" + self.said())
            done = subprocess.run(["curl", "-fsS", "--max-time", "2", "http://127.0.0.1:15077/readyz"],
                                  capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("the agent is not ready:\n" + self.said())

    def end(self):
        runc = [RUNC, "--root", self.test.folder / "runc"]
        subprocess.run([*runc, "kill", self.name, "KILL"], capture_output=True, check=False)
        self.process.wait(30)
        subprocess.run([*runc, "delete", "--force", self.name], capture_output=True, check=False)


class PodTest(unittest.TestCase):
    runs = 0

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sockmesh-pod-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.cgroup = cgroup2() / f"sockmesh-pod-{os.getpid()}-{self.id().rpartition('.')[2]}"
        self.cgroup.mkdir()
        self.addCleanup(self.remove_cgroup)
        self.bpffs = self.folder / "bpffs"
        self.bpffs.mkdir()
        subprocess.run(["mount", "-t", "bpf", "-o", "mode=0700", "sockmesh-pod", self.bpffs], check=True)
        self.addCleanup(subprocess.run, ["umount", self.bpffs], check=False)
        self.addCleanup(self.unpin)
        container, config = rendered()
        (self.folder / "config").mkdir()
        (self.folder / "cache").mkdir()
        (self.folder / "run").mkdir()
        (self.folder / "config/sockmeshd.yaml").write_text(config)
        self.bundle = bundle.Bundle(container, self.folder / "bundle", BUILD / "image", {
            "config": self.folder / "config", "bpffs": self.bpffs, "cgroup": self.cgroup,
            "cache": self.folder / "cache", "run": self.folder / "run"}, SECCOMP)

    def counter(self):
        PodTest.runs += 1
        return PodTest.runs

    def unpin(self):
        subprocess.run([BUILD / "bin/sockmeshd", "--cleanup", "--bpffs-root", self.bpffs], capture_output=True, check=False)

    def remove_cgroup(self):
        for _ in range(100):
            try:
                return self.cgroup.rmdir()
            except OSError:
                time.sleep(0.05)

    def serve(self, resources):
        """A control plane with these resources, and what they lead to."""
        (self.folder / "xds").mkdir()
        (self.folder / "xds/all.json").write_text(json.dumps({"resources": resources}))
        with (self.folder / "xds.log").open("w") as log:
            process = subprocess.Popen([BUILD / "bin/sockmesh-xds", "--listen", XDS, self.folder / "xds"],
                                       stdout=log, stderr=log)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)

    def client(self, *command):
        """Runs a command of this build in the cgroup that the agent serves."""
        enter = lambda: (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=enter)
        return done.returncode, done.stdout + done.stderr

    def backend(self, address):
        process = subprocess.Popen([sys.executable, ROOT / "tools/demo/http_peers.py", "serve", f"b={address}"],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        self.assertIn("ready", process.stdout.readline())


class AsThePodRuns(PodTest):
    def test_what_the_chart_gives_is_enough(self):
        self.serve(services.few())
        self.backend("127.80.0.1:8080")
        pod = Pod(self)
        pod.await_ready()
        code, said = self.client(BUILD / "bin/sockmeshctl", "connect", f"{VIP}:{PORT}", "--rewritten", "--count", "20")
        self.assertEqual(code, 0, said)
        self.assertIn("127.80.0.1:8080", said)
        for command in (["status"], ["service", "list"], ["endpoint", "list"], ["map", "dump", "connections"],
                        ["explain", f"{VIP}:{PORT}"]):
            code, said = pod.run("sockmeshctl", *command)
            self.assertEqual(code, 0, " ".join(command) + "\n" + said)
        code, metrics = pod.run("sockmeshctl", "status", "-o", "json")
        self.assertEqual(code, 0, metrics)

    def test_an_agent_that_comes_after_takes_over(self):
        self.serve(services.few())
        self.backend("127.80.0.1:8080")
        first = Pod(self)
        first.await_ready()
        first.end()
        code, said = self.client(BUILD / "bin/sockmeshctl", "connect", f"{VIP}:{PORT}", "--rewritten")
        self.assertEqual(code, 0, said)
        second = Pod(self)
        second.await_ready()
        self.assertIn("adopted 1 services and 1 endpoints, 0 writes", second.said())

    def test_the_cleanup_of_the_uninstall_hook(self):
        self.serve(services.few())
        pod = Pod(self)
        pod.await_ready()
        during = Pod(self, arguments=["--cleanup", "--bpffs-root=/sys/fs/bpf"])
        self.assertNotEqual(during.process.wait(30), 0, during.said())
        pod.end()
        after = Pod(self, arguments=["--cleanup", "--bpffs-root=/sys/fs/bpf"])
        self.assertEqual(after.process.wait(30), 0, after.said())
        self.assertEqual([], [one for one in self.bpffs.rglob("*") if one.name.startswith("sockmesh")])


class WithLess(PodTest):
    def refused(self, pattern, **how):
        pod = Pod(self, **how)
        self.assertNotIn(pod.process.wait(60), (0, None), pod.said())
        self.assertRegex(pod.said(), pattern)
        self.assertEqual([], list(self.bpffs.rglob("*/links/*")), "something stayed attached")
        return pod.said()

    def test_each_capability_is_needed(self):
        self.serve(services.few())
        self.assertEqual({name[4:] for name in self.bundle.capabilities()}, set(NEEDED))
        for name, line in NEEDED.items():
            with self.subTest(name):
                print(f"\nwithout {name}: " + self.refused(line, without=[name]).strip())

    def test_a_bpffs_that_is_not_mounted_is_named(self):
        plain = self.folder / "plain"
        plain.mkdir()
        self.bundle.sources["bpffs"] = plain
        print("\n" + self.refused("no bpffs is mounted at /sys/fs/bpf"))

    def let_the_agent_find_the_root(self):
        config = self.folder / "config/sockmeshd.yaml"
        config.write_text(config.read_text().replace("cgroup_root: /host/cgroup", 'cgroup_root: ""'))

    def test_a_false_cgroup_root_is_refused(self):
        self.let_the_agent_find_the_root()
        print("\n" + self.refused("is the root of a cgroup namespace or a subtree"))

    def test_the_nodes_root_is_found_out_of_a_cgroup_namespace(self):
        # Without a bpffs the agent ends before it attaches, and after it has accepted the root.
        self.let_the_agent_find_the_root()
        self.bundle.sources["cgroup"] = "/sys/fs/cgroup"
        (self.folder / "plain").mkdir()
        self.bundle.sources["bpffs"] = self.folder / "plain"
        self.refused("no bpffs is mounted")


class Limits(PodTest):
    def test_ten_thousand_services_of_ten_endpoints_fit_into_the_limit(self):
        self.serve(services.many(10000, 10))
        pod = Pod(self)
        pod.await_ready(300)
        limit = bundle.in_bytes(self.bundle.container["resources"]["limits"]["memory"])
        until = time.monotonic() + 240
        while "10000" not in (text := pod.run("sockmeshctl", "status")[1]) and time.monotonic() < until:
            self.assertIsNone(pod.process.poll(), pod.said()[-2000:])
            time.sleep(0.5)
        used = peak_memory(pod.name)
        print(f"\n10,000 services x 10 endpoints: {used >> 20} MiB at most, of {limit >> 20} MiB")
        print(text)
        self.assertLess(used, limit)


def peak_memory(name):
    """What the memory controller counted for the container, with its maps: at most, in bytes."""
    for file in (f"/sys/fs/cgroup/memory/{name}/memory.max_usage_in_bytes", f"{cgroup2()}/{name}/memory.peak"):
        if os.path.exists(file):
            return int(pathlib.Path(file).read_text())
    raise unittest.SkipTest("no memory controller")


def runc():
    if tools.found("runc", "RUNC"):
        return tools.found("runc", "RUNC")
    tools.FOLDER.mkdir(parents=True, exist_ok=True)
    got = tools.quietly("apt-get", "download", "runc", cwd=tools.FOLDER)
    packages = sorted(tools.FOLDER.glob("runc_*.deb"))
    if got.returncode or not packages:
        return tools.missing("runc", "Debian's package runc cannot be fetched (RUNC=PATH names one)")
    subprocess.run(["dpkg", "-x", packages[-1], tools.FOLDER / "runc"], check=True)
    (tools.FOLDER / "bin").mkdir(exist_ok=True)
    shutil.copy(tools.FOLDER / "runc/usr/sbin/runc", tools.FOLDER / "bin/runc")
    return tools.found("runc", "RUNC")


def seccomp():
    program = tools.FOLDER / "bin/seccomp"
    if program.exists():
        return program
    if not shutil.which("go"):
        return tools.missing("containerd's seccomp profile", "go is not here")
    made = tools.quietly("go", "build", "-o", str(program), ".", cwd=HERE / "seccomp")
    return program if made.returncode == 0 else tools.missing("containerd's seccomp profile", made.stderr.strip()[-300:])


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv[1]).resolve()
    HELM, PYTHON, RUNC, SECCOMP = tools.helm(), tools.validator(), runc(), seccomp()
    if not all((HELM, PYTHON, RUNC, SECCOMP)):
        sys.exit("SKIPPED: make test-pod needs what is missing above")
    # After the tools are here: the namespace of the tests reaches no network.
    if os.environ.get("SOCKMESH_POD_INSIDE") is None:
        os.environ["SOCKMESH_POD_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    sys.argv.pop(1)
    unittest.main(argv=sys.argv)
