# SPDX-License-Identifier: Apache-2.0
"""The cluster that KUBECONFIG names. Commands can be replaced by the environment:

KUBECTL     kubectl
HELM        helm
IMAGE_LOAD  brings an image archive to all nodes; the archive's path is added. For example "kind load image-archive",
            or "ctr -n k8s.io images import" on a single node. "true" if the nodes have the images already.
NODE        runs a command on the node of a single-node cluster, to look at its connection tracking. Without it that is
            not looked at.
"""
import json
import os
import shlex
import subprocess
import sys
import time


def command(variable, default):
    return shlex.split(os.environ.get(variable, default))


KUBECTL, HELM, NODE = command("KUBECTL", "kubectl"), command("HELM", "helm"), command("NODE", "")


class Wrong(Exception):
    pass


def run(words, check=True, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **more)
    if check and done.returncode:
        raise Wrong(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def kubectl(*words, check=True, **more):
    return run([*KUBECTL, *words], check, **more)


def helm(*words, check=True):
    return run([*HELM, *words], check)


def apply(*objects):
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    return kubectl("apply", "-f", "-", input=text)


def get(*words):
    return json.loads(kubectl("get", *words, "-o", "json").stdout)


def load_image(archive):
    run([*command("IMAGE_LOAD", "false"), archive])


def tracked(client, vip):
    """How many connections of a client to a VIP the node's connection tracking knows; None if nobody can look."""
    if not NODE:
        return None
    return run([*NODE, "cat", "/proc/net/nf_conntrack"]).stdout.count(f" src={client} dst={vip} ")


def await_that(what, condition, patience=60):
    """Asks until `condition()` gives something, and returns that."""
    until, problem = time.monotonic() + patience, ""
    while time.monotonic() < until:
        try:
            found = condition()
            if found:
                return found
        except Wrong as error:
            problem = str(error)
        time.sleep(0.5)
    raise Wrong(f"waited {patience} s for: {what} {problem}")


class Checks:
    """Prints `ok` or `WRONG` for each claim, with the seconds since the start."""

    def __init__(self):
        self.begun, self.wrong = time.monotonic(), 0

    def claim(self, what, condition, detail=""):
        self.wrong += 0 if condition else 1
        print(f"{'ok   ' if condition else 'WRONG'} {time.monotonic() - self.begun:5.0f}s  {what}"
              + (f"  [{detail}]" if detail != "" else ""), flush=True)
        return condition

    def step(self, what, function, *arguments):
        """`function` may raise Wrong, and may return a detail to print."""
        try:
            detail = function(*arguments)
            return self.claim(what, True, "" if detail is None else detail)
        except Wrong as error:
            return self.claim(what, False, str(error)[-1500:])
        except Exception as error:  # a test that is broken is no reason to leave things behind
            return self.claim(what, False, f"{type(error).__name__}: {error}")

    def end(self):
        print("all ok" if not self.wrong else f"{self.wrong} wrong", flush=True)
        sys.exit(1 if self.wrong else 0)
