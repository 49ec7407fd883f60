# SPDX-License-Identifier: Apache-2.0
"""The shop's objects: HTTP pods in two versions, a Service, Istio's rules for it, a customer and a load."""

SPACE = "sockmesh-shop"
PORT, TARGET = 80, 8080
REGION = "e2e"  # of all nodes, as the chart is told


def meta(name, **labels):
    return {"name": name, "namespace": SPACE, "labels": {"app": name, **labels}}


def container(image, *arguments, **more):
    return {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "args": list(arguments),
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}}, **more}


def namespace():
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}


def web(image, version, replicas):
    labels = {"app": "web", "version": version}
    ready = {"readinessProbe": {"tcpSocket": {"port": TARGET}, "periodSeconds": 1, "failureThreshold": 60}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta(f"web-{version}"), "spec": {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": labels}, "spec": {
            "terminationGracePeriodSeconds": 20,
            "containers": [container(image, "serve", str(TARGET), ports=[{"containerPort": TARGET}], **ready)]}}}}


def service():
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta("web"), "spec": {
        "selector": {"app": "web"}, "ports": [{"name": "tcp", "port": PORT, "targetPort": TARGET}]}}


def rule():
    outlier = {"consecutive5xxErrors": 3, "consecutiveLocalOriginFailures": 3, "splitExternalLocalOriginErrors": True,
               "interval": "1s", "baseEjectionTime": "5s", "maxEjectionPercent": 50}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta("web"), "spec": {
        "host": f"web.{SPACE}.svc.cluster.local",
        "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}, "outlierDetection": outlier,
                          "tls": {"mode": "DISABLE"}},
        "subsets": [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]}}


def zoned(image, zone):
    """One pod that says itself where it is, for a cluster whose nodes have no labels of topology."""
    labels = {"app": "zoned", "zone": zone, "istio-locality": f"{REGION}.{zone}"}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": f"zoned-{zone}", "namespace": SPACE, "labels": labels},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container(image, "serve", str(TARGET))]}}


def zoned_service():
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta("zoned"), "spec": {
        "selector": {"app": "zoned"}, "ports": [{"name": "tcp", "port": PORT, "targetPort": TARGET}]}}


def zoned_rule(near, far):
    shares = {f"{REGION}/near/*": near, f"{REGION}/far/*": far}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta("zoned"), "spec": {
        "host": f"zoned.{SPACE}.svc.cluster.local",
        "trafficPolicy": {"tls": {"mode": "DISABLE"}, "loadBalancer": {
            "simple": "ROUND_ROBIN",
            "localityLbSetting": {"enabled": True, "distribute": [{"from": f"{REGION}/near/*", "to": shares}]}}}}}


def split(first, second):
    host = f"web.{SPACE}.svc.cluster.local"
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta("web"), "spec": {
        "hosts": [host], "tcp": [{"route": [
            {"destination": {"host": host, "subset": "v1"}, "weight": first},
            {"destination": {"host": host, "subset": "v2"}, "weight": second}]}]}}


def customer(image):
    """An idle pod of sockmesh's image, to run `sockmeshctl connect` in."""
    idle = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
            "command": ["sockmesh-xds", "--listen", "127.0.0.1:0", "/etc/sockmesh"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta("customer"),
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [idle]}}


def load(image, vip):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta("load"), "spec": {
        "terminationGracePeriodSeconds": 5, "restartPolicy": "Never",
        "containers": [container(image, "load", vip, str(PORT), "10")]}}


def pinned(image):
    """Ends with 69 if the node has no datapath."""
    look = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sockmeshctl", "status"],
            "volumeMounts": [{"name": "bpffs", "mountPath": "/sys/fs/bpf"}],
            "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["BPF"]}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta("pinned"), "spec": {
        "restartPolicy": "Never", "containers": [look],
        "volumes": [{"name": "bpffs", "hostPath": {"path": "/sys/fs/bpf"}}]}}
