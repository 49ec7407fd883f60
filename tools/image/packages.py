# SPDX-License-Identifier: Apache-2.0
"""What dpkg knows about files and packages of this machine."""
import dataclasses
import pathlib
import re
import subprocess


@dataclasses.dataclass(frozen=True)
class Package:
    name: str
    version: str
    architecture: str
    source: str          # the source package's name
    source_version: str
    maintainer: str
    status: str          # the package's entry in dpkg's own list

    def copyright(self):
        return pathlib.Path(f"/usr/share/doc/{self.name}/copyright").read_bytes()


def owners(files):
    """{file: name of the package that it belongs to}. dpkg lists some files under /lib, others under /usr/lib."""
    wanted = {}
    for file in files:
        wanted[str(file)] = file
        wanted[re.sub("^/usr(?=/lib)", "", str(file))] = file
    listed = subprocess.run(["dpkg", "-S", *wanted], capture_output=True, text=True, check=False).stdout
    found = {}
    for line in listed.splitlines():
        names, _, path = line.partition(": ")
        if path in wanted and not line.startswith("diversion "):
            found[wanted[path]] = names.split(",")[0].split(":")[0]
    strangers = [str(file) for file in files if file not in found]
    if strangers:
        raise SystemExit("of no Debian package: " + ", ".join(strangers))
    return found


def describe(names):
    fields = ("Package", "Version", "Architecture", "source:Package", "source:Version", "Maintainer")
    form = "\\t".join(f"${{{field}}}" for field in fields) + "\\n"
    listed = subprocess.run(["dpkg-query", "-W", "-f", form, *names], capture_output=True, text=True, check=True).stdout
    found = []
    for line in sorted(set(listed.splitlines())):
        values = line.split("\t")
        # Where a package is installed for several architectures, the first is this machine's own.
        if not found or found[-1].name != values[0]:
            found.append(Package(*values, status_of(values[0])))
    return found


def status_of(name):
    return subprocess.run(["dpkg-query", "-s", name], capture_output=True, text=True, check=True).stdout
