#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chart on a real cluster with istiod: `make e2e-k8s`. cluster.py says how to point it at one.

    run.py --build build [--values FILE] [--keep]

Installs the chart into namespace `sockmesh` and a shop into `sockmesh-shop`, looks at what pods get while things
change, and removes both. Prints ok or WRONG for each claim, and exits with 0 only if all were right."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import shop
from cluster import Checks, Wrong, apply, await_that, get, helm, kubectl, load_image, run, tracked

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = pathlib.Path(__file__).resolve().parent
SPACE, RELEASE = "sockmesh", "sockmesh"
ISTIOD = os.environ.get("ISTIOD", "istio-system/istiod").split("/")
TAG = "e2e"


# ---- images ----


def archive(folder, name, layer, program):
    """An image archive that holds one static program."""
    out = folder / f"{layer}.tar"
    (folder / layer).mkdir(parents=True, exist_ok=True)
    shutil.copy(program, folder / layer / layer)
    (folder / layer / layer).chmod(0o755)
    run([ROOT / "tools/image/oci.py", "--from", folder, "--layers", layer, "--entrypoint", f"/{layer}", "--out", out,
         "--name", name, "--version", TAG, "--revision", TAG, "--created", "0", "--machine", os.uname().machine])
    return out


def images(build):
    folder = build / "e2e-k8s"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "shop-program"
    run(["g++", "-std=c++20", "-O2", "-static", "-s", "-o", program, HERE / "shop.cpp"])
    load_image(archive(folder, f"localhost/sockmesh-shop:{TAG}", "shop", program))
    binary = os.environ.get("KUBECTL_BINARY") or shutil.which("kubectl")
    load_image(archive(folder, f"localhost/kubectl:{TAG}", "kubectl", pathlib.Path(binary).resolve()))
    out = folder / "sockmesh.tar"
    run([ROOT / "tools/image/oci.py", "--from", build / "image", "--out", out, "--name", f"localhost/sockmesh:{TAG}",
         "--version", TAG, "--revision", TAG, "--created", "0", "--machine", os.uname().machine])
    load_image(out)


SOCKMESH, SHOP = f"localhost/sockmesh:{TAG}", f"localhost/sockmesh-shop:{TAG}"
VALUES = ["--set", "image.repository=localhost/sockmesh", "--set", f"image.tag={TAG}",
          "--set", f"cleanup.kubectl.image=localhost/kubectl:{TAG}",
          "--set", f"test.target=web.{shop.SPACE}.svc.cluster.local:{shop.PORT}",
          "--set", f"locality.region={shop.REGION},locality.zone=near", "--set", "podWatch.enabled=true",
          "--set-json", 'podWatch.leaveOut=[{"matchLabels": {"sockmesh": "off"}}]']


# ---- looking ----


def endpoints():
    slices = get("-n", shop.SPACE, "endpointslices", "-l", "kubernetes.io/service-name=web")
    return {f"{address}:{shop.TARGET}" for one in slices["items"] for each in one.get("endpoints") or ()
            if each["conditions"].get("ready") for address in each["addresses"]}


def connect(count=60, service="web"):
    """{endpoint: connections} from the customer's pod, and the whole report."""
    target = f"{service}.{shop.SPACE}.svc.cluster.local:{shop.PORT}"
    done = kubectl("-n", shop.SPACE, "exec", "customer", "--", "sockmeshctl", "connect", target, "--count", str(count),
                   "-o", "json", check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise Wrong(done.stdout + done.stderr) from None
    return {one["endpoint"]: one["count"] for one in report.get("endpoints", ())}, report


def agent(*command, check=True):
    return kubectl("-n", SPACE, "exec", "daemonset/sockmesh", "--", *command, check=check)


def on_the_true_root():
    """The root of a cgroup v2 hierarchy is the one with the id 1. In a subtree other pods would be missed."""
    programs = json.loads(agent("sockmeshctl", "status", "-o", "json").stdout)["programs"]
    elsewhere = {one["name"]: one["cgroupId"] for one in programs if one["cgroupId"] not in (0, 1)}
    if elsewhere or not any(one["cgroupId"] == 1 for one in programs):
        raise Wrong(str(elsewhere))
    return f"{len(programs)} programs"


def load_totals():
    text = kubectl("-n", shop.SPACE, "logs", "load").stdout
    last = re.findall(r"^ok (\d+) failed (\d+)$", text, re.M)
    return tuple(map(int, last[-1])) if last else (0, 0)


def under_load(change):
    """No request fails while `change` is made, nor of the hundred after it."""
    before = load_totals()
    change()
    changed = load_totals()[0]
    await_that("requests after the change", lambda: load_totals()[0] > changed + 100)
    after = load_totals()
    failed = after[1] - before[1]
    if failed:
        problems = re.findall("^problem: .*$", kubectl("-n", shop.SPACE, "logs", "load").stdout, re.M)[-failed:]
        raise Wrong(f"{failed} of {after[0] - before[0]} requests failed: {problems[:5]}")
    return f"{after[0] - before[0]} requests, 0 failed"


def rollout(name, patience=180):
    kubectl("-n", name.split("/")[0], "rollout", "status", name.partition("/")[2], f"--timeout={patience}s")


# ---- claims ----


def install(values):
    helm("upgrade", "--install", RELEASE, ROOT / "charts/sockmesh", "-n", SPACE, "--create-namespace", *VALUES, *values)
    rollout(f"{SPACE}/daemonset/sockmesh")


def open_shop():
    apply(shop.namespace())
    apply(shop.web(SHOP, "v1", 3), shop.service(), shop.rule(), shop.customer(SOCKMESH))
    rollout(f"{shop.SPACE}/deployment/web-v1")
    kubectl("-n", shop.SPACE, "wait", "--for=condition=Ready", "pod/customer", "--timeout=60s")
    return f"{len(endpoints())} endpoints"


def start_load():
    vip = get("-n", shop.SPACE, "service", "web")["spec"]["clusterIP"]
    apply(shop.load(SHOP, vip))
    await_that("the load", lambda: load_totals()[0] > 100)


def straight_to_pods():
    def balanced():
        found, report = connect()
        return set(found) == endpoints() and report["failures"] == [] and (found, report)
    found, report = await_that("connections to all pods, and to nothing else", balanced)
    vip = get("-n", shop.SPACE, "service", "web")["spec"]["clusterIP"]
    if [one["peer"] for one in report["peersShown"]] != [f"{vip}:{shop.PORT}"]:
        raise Wrong(f"getpeername() shows {report['peersShown']}")
    if len(set(found.values())) != 1:
        raise Wrong(f"round robin gave {found}")
    return found


def in_conntrack():
    """The customer's connections to the ClusterIP, as packets show them."""
    client = get("-n", shop.SPACE, "pod", "customer")["status"]["podIP"]
    return tracked(client, get("-n", shop.SPACE, "service", "web")["spec"]["clusterIP"])


def no_packet_had_the_clusterip():
    if in_conntrack():
        raise Wrong(f"{in_conntrack()} connections are tracked")
    return "not looked at: NODE is not set" if in_conntrack() is None else ""


def agent_agrees():
    vip = get("-n", shop.SPACE, "service", "web")["spec"]["clusterIP"]
    said = agent("sockmeshctl", "endpoint", "list", "--service", f"{vip}:{shop.PORT}", "-o", "json").stdout
    known = {f"{one['address']}:{one['port']}" for one in json.loads(said)["items"]}
    if not endpoints() <= known:
        raise Wrong(f"sockmeshctl knows {known}, the cluster {endpoints()}")
    agent("sockmeshctl", "status")


def scaled(replicas):
    kubectl("-n", shop.SPACE, "scale", "deployment/web-v1", f"--replicas={replicas}")
    rollout(f"{shop.SPACE}/deployment/web-v1")
    await_that(f"{replicas} endpoints in use", lambda: len(connect(replicas * 10)[0]) == replicas and
               set(connect(replicas * 10)[0]) == endpoints())


def a_pod_is_deleted():
    pod = get("-n", shop.SPACE, "pods", "-l", "app=web")["items"][0]["metadata"]["name"]
    kubectl("-n", shop.SPACE, "delete", "pod", pod)
    rollout(f"{shop.SPACE}/deployment/web-v1")


def rolling_update():
    kubectl("-n", shop.SPACE, "rollout", "restart", "deployment/web-v1")
    rollout(f"{shop.SPACE}/deployment/web-v1")


def the_agents_pod_is_deleted():
    old = get("-n", SPACE, "pods", "-l", "app.kubernetes.io/component=agent")["items"][0]["metadata"]["name"]
    kubectl("-n", SPACE, "delete", "pod", old)
    await_that("a new agent", lambda: [one for one in get("-n", SPACE, "pods", "-l", "app.kubernetes.io/component=agent")
                                       ["items"] if one["metadata"]["name"] != old])
    rollout(f"{SPACE}/daemonset/sockmesh")


def upgraded(values):
    helm("upgrade", RELEASE, ROOT / "charts/sockmesh", "-n", SPACE, *VALUES, *values, "--set", "logging.level=debug")
    rollout(f"{SPACE}/daemonset/sockmesh")


def istiod_stops_and_starts():
    scale = ["-n", ISTIOD[0], "scale", f"deployment/{ISTIOD[1]}"]
    connected = lambda: re.search(r"Control plane: \S+, connected", agent("sockmeshctl", "status", check=False).stdout)
    kubectl(*scale, "--replicas=0")
    try:
        await_that("the loss of the stream", lambda: not connected())
        found, report = connect()
        if report["failures"] or set(found) != endpoints():
            raise Wrong(f"without istiod: {report}")
    finally:
        kubectl(*scale, "--replicas=1")
    rollout(f"{ISTIOD[0]}/deployment/{ISTIOD[1]}")
    await_that("a new stream", connected, 120)


def canary():
    # As an operator would: pods before the split that needs them, and the split goes before the pods.
    apply(shop.web(SHOP, "v2", 2))
    rollout(f"{shop.SPACE}/deployment/web-v2")
    await_that("five pods without a split", lambda: len(connect()[0]) == 5)
    apply(shop.split(80, 20))
    second = lambda: {f"{one['status']['podIP']}:{shop.TARGET}" for one in
                      get("-n", shop.SPACE, "pods", "-l", "app=web,version=v2")["items"]}
    def share():
        found, report = connect(500)
        part = sum(count for endpoint, count in found.items() if endpoint in second())
        return report["failures"] == [] and 70 <= part <= 130 and part
    part = await_that("a fifth of 500 connections to v2", share)
    kubectl("-n", shop.SPACE, "delete", "virtualservice/web")
    # The load takes its turns, too, so that the shares of these hundred are not exact.
    await_that("five pods in turn", lambda: len(found := connect(100)[0]) == 5 and min(found.values()) >= 12)
    kubectl("-n", shop.SPACE, "delete", "deployment/web-v2")
    await_that("no connection to v2", lambda: len(endpoints()) == 3 and set(connect()[0]) == endpoints())
    return f"{part} of 500"


def ejected_and_taken_back():
    pod = get("-n", shop.SPACE, "pods", "-l", "app=web,version=v1")["items"][0]
    address = f"{pod['status']['podIP']}:{shop.TARGET}"
    # The pod hears the request over loopback of its own, as an operator would send it.
    kubectl("-n", shop.SPACE, "exec", pod["metadata"]["name"], "--", "/shop", "refuse", str(shop.TARGET), "15")
    failures = 0
    def out():
        nonlocal failures
        found, report = connect(30)
        failures += sum(one["count"] for one in report["failures"])
        return address not in found and report["failures"] == []
    await_that(f"{address} out of rotation", out, 20)
    listed = agent("sockmeshctl", "ejection", "list").stdout
    if address not in listed:
        raise Wrong(f"ejection list lacks {address}:\n{listed}")
    await_that(f"{address} back in rotation", lambda: address in connect(30)[0], 90)
    return f"{failures} connections failed until it was ejected"


def localities():
    apply(shop.zoned_service(), shop.zoned_rule(80, 20), shop.zoned(SHOP, "near"), shop.zoned(SHOP, "far"))
    kubectl("-n", shop.SPACE, "wait", "--for=condition=Ready", "pod/zoned-near", "pod/zoned-far", "--timeout=60s")
    near = f"{get('-n', shop.SPACE, 'pod', 'zoned-near')['status']['podIP']}:{shop.TARGET}"
    def share():
        found, report = connect(200, "zoned")
        return report["failures"] == [] and len(found) == 2 and 150 <= found[near] <= 170 and found[near]
    part = await_that("four fifths of 200 connections within the zone", share)
    kubectl("-n", shop.SPACE, "delete", "pod/zoned-near", "pod/zoned-far", "service/zoned", "destinationrule/zoned")
    return f"{part} of 200"


def label_leaves_out():
    """The agent hears of the label from the real API server; then kube-proxy serves the pod, and again sockmesh."""
    status = lambda: agent("sockmeshctl", "status").stdout
    await_that("the watch", lambda: re.search(r"Pods: API server \S+, watched since", status()))
    label = lambda text: kubectl("-n", shop.SPACE, "label", "pod/customer", text)
    rewritten = lambda: connect(10)[1]["rewritten"]
    if not rewritten():
        raise Wrong("the customer was not served before")
    label("sockmesh=off")
    try:
        await_that("a pod that is left alone", lambda: not rewritten())
        said = status()
    finally:
        label("sockmesh-")
    await_that("a pod that is served again", rewritten)
    if f"{shop.SPACE}/customer by served.leave_out[0]" not in said:
        raise Wrong(said)
    return re.search(r"Pods: .*", said)[0]


def token_is_taken():
    """istiod saw the agent on its TLS port, by its service account."""
    said = agent("sockmeshctl", "status").stdout
    line = re.search(r"Control plane: .*", said)
    return line[0] if line else said[:200]


def helm_test():
    helm("test", RELEASE, "-n", SPACE)
    return kubectl("-n", SPACE, "logs", "sockmesh-test").stdout.splitlines()[0]


def uninstall():
    helm("uninstall", RELEASE, "-n", SPACE, "--timeout", "180s")


def nothing_is_pinned():
    kubectl("-n", shop.SPACE, "delete", "pod", "pinned", "--ignore-not-found")
    apply(shop.pinned(SOCKMESH))
    def ended():
        state = get("-n", shop.SPACE, "pod", "pinned")["status"].get("containerStatuses", [{}])[0].get("state", {})
        return state.get("terminated")
    code = await_that("the look at the node", ended)["exitCode"]
    if code != 69:
        raise Wrong(f"sockmeshctl status ended with {code}:\n" + kubectl("-n", shop.SPACE, "logs", "pinned").stdout)


def kube_proxy_serves():
    found, report = connect(20)
    if report["failures"] or report["rewritten"]:
        raise Wrong(str(report))
    if in_conntrack() == 0:
        raise Wrong("connection tracking saw none")
    return f"{report['established']} of 20 by kube-proxy"


def rubbish_is_gone():
    kinds = "all,configmap,role,rolebinding,serviceaccount,clusterrole,clusterrolebinding"
    left = kubectl("-n", SPACE, "get", kinds, "-l",
                   "app.kubernetes.io/instance=sockmesh", "-o", "name").stdout.split()
    # `helm test` leaves its pod, so that its log can be read.
    left = [one for one in left if one != "pod/sockmesh-test"]
    if left:
        raise Wrong(" ".join(left))


def clean_up():
    helm("uninstall", RELEASE, "-n", SPACE, "--timeout", "180s", check=False)
    kubectl("delete", "namespace", shop.SPACE, SPACE, "--ignore-not-found", "--timeout=120s", check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--values", action="append", default=[], help="more values of the chart")
    parser.add_argument("--keep", action="store_true", help="leave everything installed")
    options = parser.parse_args()
    values = [word for file in options.values for word in ("--values", str(pathlib.Path(file).resolve()))]
    checks = Checks()
    try:
        steps(checks, options, values)
    finally:
        if checks.wrong:
            print(kubectl("-n", SPACE, "get", "pods", "-o", "wide", check=False).stdout)
            print(kubectl("-n", SPACE, "logs", "daemonset/sockmesh", "--tail=30", check=False).stdout)
        if not options.keep:
            clean_up()
    checks.end()


def steps(checks, options, values):
    step = checks.step
    if not step("the images are on the nodes", images, options.build.resolve()):
        return
    step("the shop opens", open_shop)
    if not step("helm install; every node's agent is ready", install, values):
        return
    step("connections of a pod go straight to the pods, in turn, and getpeername() shows the ClusterIP", straight_to_pods)
    step("the programs are on the true root of cgroup v2", on_the_true_root)
    step("connection tracking saw none to the ClusterIP", no_packet_had_the_clusterip)
    step("sockmeshctl agrees, and status is content", agent_agrees)
    step("the agent's stream to istiod", token_is_taken)
    step("helm test", helm_test)
    step("a label leaves a pod out, as long as the pod has it", label_leaves_out)
    step("shares of localities of 80 to 20", localities)
    step("a load of requests", start_load)
    for what, change in (("scaled to 6", lambda: scaled(6)), ("scaled to 3", lambda: scaled(3)),
                         ("a pod is deleted", a_pod_is_deleted), ("a rolling update", rolling_update),
                         ("the agent's pod is deleted", the_agents_pod_is_deleted),
                         ("helm upgrade replaces the agents", lambda: upgraded(values)),
                         ("istiod stops and starts", istiod_stops_and_starts),
                         ("a canary split of 80 to 20, and its end", canary)):
        step(f"0 failed requests: {what}", under_load, change)
    step("a pod that refuses is ejected and taken back", ejected_and_taken_back)
    step("helm uninstall", uninstall)
    step("nothing is pinned on the node", nothing_is_pinned)
    step("no object is left", rubbish_is_gone)
    step("kube-proxy serves", kube_proxy_serves)


if __name__ == "__main__":
    main()
