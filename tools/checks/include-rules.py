#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks who includes whom. Prints each violation, and exits with 1 if there is any.

The graph is that of the build: the MAY_X lines of tools/build/*.mk name the rooms whose headers room,
program or test folder X may include, besides its own headers. A room may include what its MAY line says
and no more. Nothing is inherited, so the lines are complete.
"""
import pathlib
import re
import sys

# The only headers of another room that a room may include.
TABLES = {"lb/abi_names.h", "lb/policy/policy.h", "lb/service_summary.h", "lb/table_shape.h", "lb/tables.h"}
ONLY = {("maps", "lb"): TABLES, ("writer", "lb"): TABLES}
ABI_HEADER = "sockmesh_abi.h"
ABI = {"lb", "maps", "datapath", "writer", "inspect", "sockmeshctl"}  # may include it
# Libraries that only some rooms and programs include. A header is recognised by the start of its name.
LIBRARIES = {
    "protobuf": (("google/", "envoy/", "istio/", "sockmesh/", "udpa/", "xds/core", "xds/type"),
                 {"ads", "store", "decode", "protojson", "sources", "config", "sockmesh-xds"}),
    "gRPC": (("grpc", "grpcpp/"), {"ads", "sockmesh-xds"}),
    "libbpf": (("bpf/", "sockmesh.skel.h"), {"maps", "datapath", "writer", "inspect"}),
    "c-ares": (("ares.h",), {"dns"}),
    "libseccomp": (("seccomp.h",), {"daemon"}),
    "libcurl": (("curl/",), {"kube"}),
    "prometheus-cpp": (("prometheus/",), {"stats"}),
    "yaml-cpp": (("yaml-cpp/",), {"protojson"}),
    "CLI11": (("CLI/",), {"base", "daemon", "sockmeshctl", "sockmesh-xds"}),
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)


def graph(root):
    may = {}
    for path in sorted((root / "tools/build").glob("*.mk")):
        text = path.read_text().replace("\\\n", " ")
        for name, others in re.findall(r"^MAY_([\w/-]+) *:=(.*)$", text, re.M):
            may[name] = set(others.split())
    return may


def circles(may):
    """Yields each room that can reach itself."""
    for start in may:
        seen, todo = set(), list(may[start])
        while todo:
            room = todo.pop()
            if room not in seen:
                seen.add(room)
                todo += may.get(room, ())
        if start in seen:
            yield f"tools/build: MAY_{start} leads back to {start}"


class Tree:
    """The folders that stand for a name: rooms, programs, test folders, folders of bpf/."""

    def __init__(self, root):
        self.root, self.may = root, graph(root)
        self.folders = {}  # name -> folder
        for name in self.may:
            for parent in ("agent", "tools", "."):
                if (root / parent / name).is_dir():
                    self.folders[name] = root / parent / name
                    break

    def name_of(self, path):
        """The innermost name whose folder holds `path`, or None."""
        found = [n for n, folder in self.folders.items() if folder in path.parents]
        return max(found, key=lambda n: len(self.folders[n].parts), default=None)

    def files(self, name):
        for path in sorted(self.folders[name].rglob("*")):
            if path.suffix in (".h", ".cpp", ".c") and self.name_of(path) == name:
                yield path

    def target(self, path, header):
        """The file of this project that `header` means in `path`. None for a library's or a generated header."""
        for base in (path.parent, self.root / "agent", self.root / "tests", self.root / "bpf",
                     self.root / "bpf/include", self.root, *self.tool_folders()):
            if (base / header).is_file():
                return (base / header).resolve()
        return None

    def tool_folders(self):
        return [f for f in self.folders.values() if f.parent == self.root / "tools"]

    def violations(self):
        for folder in sorted((self.root / "agent").iterdir()):
            if folder.is_dir() and folder.name not in self.may:
                yield f"agent/{folder.name}: no MAY_{folder.name} in tools/build"
        yield from circles(self.may)
        for name in self.folders:
            for path in self.files(name):
                for header in INCLUDE.findall(path.read_text()):
                    wrong = self.wrong(name, path, header)
                    if wrong:
                        yield f"{path.relative_to(self.root)}: includes {header}: {wrong}"

    def wrong(self, name, path, header):
        found = self.target(path, header)
        if not found:
            return self.wrong_library(name, header)
        if found.name == ABI_HEADER and self.folders[name].parent.name in ("agent", "tools"):
            return None if name in ABI else f"{name} does not know the kernel's structs"
        other = self.name_of(found)
        if other == name:
            return None
        if other is None or other not in self.may[name]:
            return f"{name} may not include {other or found.relative_to(self.root).parent}"
        only = ONLY.get((name, other))
        return f"of {other}, {name} may see {only} only" if only and header not in only else None

    def wrong_library(self, name, header):
        if not self.folders[name].parent.name in ("agent", "tools"):
            return None
        for library, (starts, users) in LIBRARIES.items():
            if header.startswith(starts) and name not in users:
                return f"{library} is not for {name}"
        return None


def main():
    found = list(Tree(pathlib.Path(__file__).resolve().parents[2]).violations())
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
