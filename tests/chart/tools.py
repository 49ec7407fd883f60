# SPDX-License-Identifier: Apache-2.0
"""The programs that the tests of the chart use: from PATH, from the environment (HELM, PROMTOOL), or put below
build/chart-tools. Each returns a path, or None and a loud line."""
import os
import pathlib
import shutil
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/chart-tools"
HELM_MODULE = "helm.sh/helm/v3/cmd/helm@v3.18.4"
VALIDATOR = "kubernetes-validate==1.37.0"


def missing(what, why):
    print(f"SKIPPED: {what}: {why}", file=sys.stderr)


def quietly(*command, **more):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, **more)


def found(name, variable):
    named = os.environ.get(variable) or shutil.which(name)
    if named:
        return named
    kept = FOLDER / "bin" / name
    return str(kept) if kept.exists() else None


def helm():
    if found("helm", "HELM"):
        return found("helm", "HELM")
    if not shutil.which("go"):
        return missing("helm", "neither helm nor go is here (HELM=PATH names one)")
    print(f"building {HELM_MODULE}: minutes, once", file=sys.stderr)
    made = quietly("go", "install", HELM_MODULE, env={**os.environ, "GOBIN": str(FOLDER / "bin")})
    if made.returncode:
        return missing("helm", made.stderr.strip().splitlines()[-1])
    return found("helm", "HELM")


def promtool():
    """Debian's package `prometheus` has it. The package is unpacked, not installed: it would start a server."""
    if found("promtool", "PROMTOOL"):
        return found("promtool", "PROMTOOL")
    FOLDER.mkdir(parents=True, exist_ok=True)
    got = quietly("apt-get", "download", "prometheus", cwd=FOLDER)
    packages = sorted(FOLDER.glob("prometheus_*.deb"))
    if got.returncode or not packages:
        return missing("promtool", "Debian's package prometheus cannot be fetched (PROMTOOL=PATH names one)")
    subprocess.run(["dpkg", "-x", packages[-1], FOLDER / "prometheus"], check=True)
    (FOLDER / "bin").mkdir(exist_ok=True)
    shutil.copy(FOLDER / "prometheus/usr/bin/promtool", FOLDER / "bin/promtool")
    return found("promtool", "PROMTOOL")


def validator():
    """A Python that can import kubernetes_validate (PyPI), which ships Kubernetes' published schemas."""
    python = FOLDER / "venv/bin/python"
    if not python.exists():
        venv.create(FOLDER / "venv", with_pip=True)
    if quietly(python, "-c", "import kubernetes_validate").returncode:
        got = quietly(python, "-m", "pip", "install", "--quiet", VALIDATOR, "pyyaml")
        if got.returncode:
            return missing(VALIDATOR, "pip cannot install it")
    return str(python)
