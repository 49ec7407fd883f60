#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles the root file system of the image: two folders, one for each layer.

    rootfs.py --bin build/bin --out build/image --version V --created SECONDS

OUT/debian    the shared libraries that the programs load, the loader, root certificates, and of each Debian
              package its copyright file and a dpkg status entry (scanners of images read the entries)
OUT/sockmesh  the programs without their debugging symbols, and the list of packages (SPDX 2.3, JSON)

The image has no shell, no package manager and no compiler. The Dockerfile and `make image-tar` use this script,
so that both ways lead to the same files. It needs Debian's dpkg, binutils and libc-bin.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

import packages
import sbom

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("sockmeshd", "sockmeshctl", "sockmesh-xds")
CERTIFICATES = pathlib.Path("/usr/share/ca-certificates/mozilla")
TEXTS = {
    "etc/passwd": "root:x:0:0:root:/:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
FOLDERS = {"tmp": 0o1777, "run": 0o755, "proc": 0o755, "sys": 0o755, "dev": 0o755, "etc/sockmesh": 0o755,
           "var/lib/sockmesh": 0o700}


def libraries(programs):
    """The paths of all files that the loader maps for these programs, with the loader itself."""
    found = set()
    for program in programs:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            if "not found" in line:
                sys.exit(f"{program}: {line.strip()}")
            path = re.search(r"(/\S+) \(0x", line)
            if path:
                found.add(path[1])
    return sorted(found)


def merged(path):
    """Where a file of Debian lies: /lib and /lib64 are links into /usr."""
    return path if path.startswith("/usr/") else "/usr" + path


def put(out, path, data, mode=0o644):
    target = out / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data if isinstance(data, bytes) else data.encode())
    target.chmod(mode)


def debian_layer(out, needed):
    files = {merged(path): pathlib.Path(path).resolve() for path in needed}
    for path, source in files.items():
        put(out, path, source.read_bytes(), 0o755)
    for name in ("lib", "lib64"):
        if (out / "usr" / name).exists():
            (out / name).symlink_to(f"usr/{name}")
    certificates = sorted(CERTIFICATES.glob("*.crt"))
    if not certificates:
        sys.exit("the Debian package ca-certificates is needed")
    put(out, "etc/ssl/certs/ca-certificates.crt", b"".join(one.read_bytes() for one in certificates))
    put(out, "etc/os-release", pathlib.Path("/etc/os-release").read_bytes())
    for path, text in TEXTS.items():
        put(out, path, text)
    for path, mode in FOLDERS.items():
        (out / path).mkdir(parents=True, exist_ok=True)
        (out / path).chmod(mode)
    owners = packages.owners(files.values())
    known = packages.describe(sorted({*owners.values(), "ca-certificates", "base-files"}))
    for one in known:
        put(out, f"var/lib/dpkg/status.d/{one.name}", one.status)
        put(out, f"usr/share/doc/{one.name}/copyright", one.copyright())
    return files, owners, known


def sockmesh_layer(out, programs):
    for program in programs:
        target = out / "usr/local/bin" / program.name
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["strip", "--strip-unneeded", "-o", target, program], check=True)
        target.chmod(0o755)
    for source in (ROOT / "LICENSE", *sorted((ROOT / "LICENSES").iterdir())):
        put(out, f"usr/share/doc/sockmesh/{source.name}", source.read_bytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="where the three programs are")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder to make anew")
    parser.add_argument("--version", required=True)
    parser.add_argument("--created", type=int, required=True, help="Unix time that the list of packages names")
    options = parser.parse_args()
    os.umask(0o022)
    programs = [options.bin / name for name in PROGRAMS]
    for layer in ("debian", "sockmesh"):
        shutil.rmtree(options.out / layer, ignore_errors=True)
        (options.out / layer).mkdir(parents=True)
    files, owners, known = debian_layer(options.out / "debian", libraries(programs))
    sockmesh_layer(options.out / "sockmesh", programs)
    text = sbom.document(options.out, files, owners, known, options.version, options.created)
    put(options.out / "sockmesh", "usr/share/sbom/sockmesh.spdx.json", text)
    put(options.out, "sockmesh.spdx.json", text)


if __name__ == "__main__":
    main()
