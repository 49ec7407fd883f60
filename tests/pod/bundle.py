# SPDX-License-Identifier: Apache-2.0
"""A container of the chart's agent as runc runs it: config.json out of the rendered DaemonSet, the image's files as
its root, and folders of the test where the node's would be."""
import json
import pathlib
import re
import shutil
import subprocess

# As containerd gives them to every container.
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
]
MASKED = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
          "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READ_ONLY = ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def in_bytes(quantity):
    number, unit = re.fullmatch(r"(\d+)(\w*)", str(quantity)).groups()
    return int(number) * UNITS[unit]


class Bundle:
    """`container`: the agent's, of the rendered DaemonSet. `sources`: {name of a volume: path on this machine}."""

    def __init__(self, container, folder, image, sources, seccomp):
        self.container, self.folder, self.sources, self.seccomp = container, pathlib.Path(folder), sources, seccomp
        root = self.folder / "rootfs"
        for layer in ("debian", "sockmesh"):
            shutil.copytree(pathlib.Path(image) / layer, root, symlinks=True, dirs_exist_ok=True)

    def capabilities(self, without=()):
        wanted = self.container["securityContext"]["capabilities"]
        assert wanted["drop"] == ["ALL"]
        return ["CAP_" + name for name in wanted["add"] if name not in without]

    def mounts(self):
        for one in self.container["volumeMounts"]:
            propagation = {"HostToContainer": "rslave"}.get(one.get("mountPropagation"), "rprivate")
            yield {"destination": one["mountPath"], "type": "bind", "source": str(self.sources[one["name"]]),
                   "options": ["rbind", propagation, "ro" if one.get("readOnly") else "rw"]}

    def write(self, cgroup, without=(), environment=(), arguments=None):
        """Writes config.json. `without`: capabilities that the chart gives and this container lacks."""
        held = self.capabilities(without)
        context = self.container["securityContext"]
        profile = json.loads(subprocess.run([self.seccomp, *held], capture_output=True, text=True, check=True).stdout)
        config = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": context["runAsUser"], "gid": context["runAsGroup"]}, "cwd": "/",
                "args": ["/usr/local/bin/sockmeshd", *(arguments or self.container["args"])],
                "env": ["PATH=/usr/local/bin", *environment],
                "capabilities": {kind: held for kind in ("bounding", "effective", "permitted")},
                "noNewPrivileges": not context["allowPrivilegeEscalation"],
            },
            "root": {"path": "rootfs", "readonly": context["readOnlyRootFilesystem"]},
            "mounts": [*MOUNTS, *self.mounts()],
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")],
                "resources": {"memory": {"limit": in_bytes(self.container["resources"]["limits"]["memory"])}},
                "seccomp": profile, "maskedPaths": MASKED, "readonlyPaths": READ_ONLY, "rootfsPropagation": "rslave",
            },
        }
        (self.folder / "config.json").write_text(json.dumps(config, indent=1))
