# SPDX-License-Identifier: Apache-2.0
"""A cgroup, a work folder and namespaces of this process. They end with the process, however it ends."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PREFIX = "sockmesh-envoy-"
INSIDE = "SOCKMESH_ENVOY_INSIDE"


def inside():
    """(cgroup, work folder) inside the sandbox, otherwise None."""
    value = os.environ.get(INSIDE)
    return tuple(pathlib.Path(part) for part in value.split(":")) if value else None


def _cgroup2_root():
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return pathlib.Path(fields[1])
    raise SystemExit("no cgroup v2 is mounted")


def _remove_cgroup(cgroup):
    for _ in range(250):  # a cgroup can be removed once its last process is reaped
        try:
            cgroup.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)


def _remove_stale(root):
    for stale in root.glob(PREFIX + "*"):
        if not pathlib.Path("/proc", stale.name.removeprefix(PREFIX)).exists():
            try:
                stale.rmdir()
            except OSError:
                pass


def enter(script, arguments):
    """Runs `script` again inside a sandbox. Returns its exit status."""
    if os.geteuid() != 0:
        raise SystemExit("sockmeshd loads BPF programs: run this as root")
    root = _cgroup2_root()
    _remove_stale(root)
    cgroup = root / f"{PREFIX}{os.getpid()}"
    cgroup.mkdir()
    work = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
    child = None

    def stop(number, _frame):
        if child:
            child.kill()
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    try:
        child = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             sys.executable, script, *arguments],
            env={**os.environ, INSIDE: f"{cgroup}:{work}"})
        return child.wait()
    finally:
        if child:
            child.kill()
            child.wait()
        _remove_cgroup(cgroup)
        shutil.rmtree(work, ignore_errors=True)


def set_up_network():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Each side makes and ends many thousands of connections between few addresses.
    ports = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
    ports.write_text("15000 65000\n")
