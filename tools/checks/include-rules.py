#!/usr/bin/env python3
"""Who may include whom (ARCHITECTURE.md, "The house"). Prints each violation; exits 1 on any."""
import pathlib
import re
import sys

ALLOWED = {
    "base": set(),
    "model": {"base"},
    "stats": {"base"},
    "xds": {"model", "stats", "base"},
    "health": {"model", "stats", "base"},
    "admin": {"model", "stats", "base"},
    "lb": {"model", "base"},
    "datapath": {"lb", "model", "stats", "base"},
    "daemon": {"admin", "xds", "datapath", "health", "lb", "stats", "model", "base"},
}
# Of another room, only these headers.
ONLY = {("datapath", "lb"): {"lb/tables.h"}}
ABI = {"lb", "datapath"}  # may include sockmesh_abi.h
# Libraries that only some rooms see. A header is recognised by how its name starts.
LIBRARIES = {
    "protobuf and gRPC": (("google/", "grpc", "grpcpp/", "envoy/", "istio/", "sockmesh/", "xds/core",
                           "xds/type"), {"xds", "admin", "daemon"}),
    "libbpf": (("bpf/", "sockmesh.skel.h"), {"datapath"}),
    "civetweb": (("civetweb",), {"admin"}),
    "prometheus-cpp": (("prometheus/",), {"stats"}),
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)


def violations(root):
    agent = root / "agent"
    for path in sorted(agent.rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        room = path.relative_to(agent).parts[0]
        for header in INCLUDE.findall(path.read_text()):
            other = header.split("/")[0]
            where = f"{path.relative_to(root)}: includes {header}: "
            if header == "sockmesh_abi.h":
                if room not in ABI:
                    yield where + f"{room}/ does not know the kernel's structs"
                continue
            if (agent / header).exists():
                if other != room and other not in ALLOWED[room]:
                    yield where + f"{room}/ may not include {other}/"
                elif header not in ONLY.get((room, other), {header}):
                    yield where + f"of {other}/, {room}/ may see {ONLY[(room, other)]} only"
                continue
            for library, (starts, rooms) in LIBRARIES.items():
                if header.startswith(starts) and room not in rooms:
                    yield where + f"{library} is not for {room}/"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    found = list(violations(root))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
