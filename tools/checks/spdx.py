#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts an SPDX line first into every source of the tree, and mends wrong lines. Run it in the root. It can run again.
With --check it only prints the sources without the right line, and exits with 1 if there is any."""
import pathlib
import re
import subprocess
import sys

APACHE, BPF = "Apache-2.0", "GPL-2.0-only OR BSD-2-Clause"
SLASHES, HASH = {".h", ".cpp", ".proto", ".c"}, {".py", ".sh", ".mk"}
NAMES = {"Makefile", "Dockerfile", ".ci/run", "tests/e2e/kernels/guest-init"}


def wanted(name):
    path = pathlib.PurePosixPath(name)
    kernel = name.startswith("bpf/") or re.fullmatch(r"tests/bpf/.*(\.bpf\.c|_args\.h)", name)
    licence = BPF if kernel else APACHE
    if path.suffix in SLASHES:
        # The ABI header is C for three compilers, so it has a C comment, as the rest of bpf/*.h.
        return (f"/* SPDX-License-Identifier: {licence} */" if kernel and path.suffix == ".h"
                else f"// SPDX-License-Identifier: {licence}")
    if path.suffix in HASH or name in NAMES:
        return f"# SPDX-License-Identifier: {licence}"
    return ""


def main():
    missing = 0
    for name in subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n"):
        line = wanted(name) if name and not name.startswith("tests/data/") else ""
        if not line:
            continue
        page = pathlib.Path(name)
        lines = page.read_text().split("\n")
        at = 1 if lines[0].startswith("#!") else 0
        if at < len(lines) and lines[at] == line:
            continue
        missing += 1
        if "--check" in sys.argv:
            print(f"{name}: line {at + 1} is not {line}")
            continue
        if at < len(lines) and re.search("SPDX-License-Identifier", lines[at]):
            lines[at] = line
        else:
            lines.insert(at, line)
        page.write_text("\n".join(lines))
    if "--check" not in sys.argv:
        print(f"{missing} files changed")
    return 1 if missing and "--check" in sys.argv else 0


sys.exit(main())
