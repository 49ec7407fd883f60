#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chart as users and clusters meet it: `make chart-test`. What is missing on this machine is skipped loudly.

    chart_test.py build/bin [unittest arguments]"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import tools

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/sockmesh"
HERE = pathlib.Path(__file__).resolve().parent
VALUE_SETS = [None, *sorted((CHART / "examples").glob("*.yaml")), *sorted((HERE / "values").glob("*.yaml"))]
KUBERNETES = ("1.27.0", "1.30.0", "1.33.0", "1.35.0")
# Labels that Prometheus or the PodMonitor adds.
ADDED_LABELS = {"instance", "job", "node", "le"}
# Made only while a rule goes by pods, or once a connection was refused or left alone, which the demo has none of.
# tools/checks/chart.py finds them in the sources.
WITHOUT_THE_DEMO = {"sockmesh_pod_watch_up", "sockmesh_connections_refused_total", "sockmesh_connections_left_alone_total"}
BIN = None


def helm(*arguments, check=True):
    return subprocess.run([HELM, *map(str, arguments)], capture_output=True, text=True, check=check)


def template(values=None, *more, version="1.33.0", operator=True, check=True):
    arguments = ["template", "mesh", CHART, "--namespace", "sockmesh", "--kube-version", version, *more]
    arguments += ["--values", values] if values else []
    arguments += ["--api-versions", "monitoring.coreos.com/v1"] if operator else []
    return helm(*arguments, check=check)


def objects(text):
    """As kubectl would read it. The Python that has a YAML library does the reading."""
    read = "import json, sys, yaml; print(json.dumps([one for one in yaml.safe_load_all(sys.stdin) if one]))"
    said = subprocess.run([PYTHON, "-c", read], input=text, capture_output=True, text=True, check=True).stdout
    return json.loads(said)


def one(found, kind, name=None):
    return next(each for each in found if each["kind"] == kind and name in (None, each["metadata"]["name"]))


def name_of(values):
    return values.stem if values else "defaults"


HELM, PROMTOOL, PYTHON = tools.helm(), tools.promtool(), tools.validator()
needs_helm = unittest.skipUnless(HELM, "helm is missing")
needs_yaml = unittest.skipUnless(HELM and PYTHON, "helm or PyPI's kubernetes-validate is missing")
needs_promtool = unittest.skipUnless(HELM and PYTHON and PROMTOOL, "promtool, helm or PyPI is missing")


@needs_helm
class Rendered(unittest.TestCase):
    def test_lint_finds_nothing(self):
        for values in VALUE_SETS:
            with self.subTest(name_of(values)):
                more = ["--values", values] if values else []
                said = helm("lint", "--strict", "--kube-version", "1.33.0", CHART, *more, check=False)
                self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    @needs_yaml
    def test_every_object_is_as_kubernetes_publishes_it(self):
        for values in VALUE_SETS:
            for version in KUBERNETES:
                with self.subTest(name_of(values), version=version):
                    said = subprocess.run([PYTHON, HERE / "validate.py", version.rpartition(".")[0] + ".0"],
                                          input=template(values, version=version).stdout, capture_output=True,
                                          text=True, check=False)
                    self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    def test_an_old_cluster_is_refused(self):
        self.assertIn("kubeVersion", template(version="1.26.0", check=False).stderr)

    @needs_yaml
    def test_monitoring_needs_the_operators_api(self):
        kinds = lambda operator: {each["kind"] for each in objects(template(operator=operator).stdout)}
        self.assertEqual(kinds(True) - kinds(False), {"PodMonitor", "PrometheusRule"})

    @needs_yaml
    def test_a_changed_configuration_changes_the_pods(self):
        def checksum(*more):
            pod = one(objects(template(None, *more).stdout), "DaemonSet", "mesh-sockmesh")["spec"]["template"]
            return pod["metadata"]["annotations"]["checksum/config"]
        self.assertNotEqual(checksum(), checksum("--set", "logging.level=debug"))
        self.assertEqual(checksum(), checksum("--set", "dashboard.enabled=false"))

    @needs_yaml
    def test_the_agent_has_no_more_than_it_needs(self):
        pod = one(objects(template().stdout), "DaemonSet", "mesh-sockmesh")["spec"]["template"]["spec"]
        context = pod["containers"][0]["securityContext"]
        self.assertEqual(context["capabilities"], {"drop": ["ALL"], "add": ["BPF", "NET_ADMIN", "PERFMON"]})
        self.assertEqual((context["privileged"], context["allowPrivilegeEscalation"],
                          context["readOnlyRootFilesystem"]), (False, False, True))
        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual({each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each},
                         {"/sys/fs/bpf", "/sys/fs/cgroup", "/var/lib/sockmesh"})
        self.assertFalse(pod["automountServiceAccountToken"])
        self.assertFalse(pod.get("hostPID") or pod.get("hostIPC"))

    @needs_yaml
    def test_no_role_is_for_the_agent(self):
        found = objects(template().stdout)
        for each in found:
            if each["kind"] in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
                self.assertEqual(each["metadata"]["annotations"]["helm.sh/hook"], "post-delete")

    @needs_yaml
    def test_the_watch_of_pods_brings_its_rules_its_token_and_its_role(self):
        found = objects(template(None, "--set", "podWatch.enabled=true",
                                 "--set-json", 'podWatch.leaveOut=[{"matchLabels":{"a":"b"}}]',
                                 "--set-json", 'config.served={"leave_out":[{"cgroup":"/x"}],"by_default":"NONE"}',
                                 "--set-json", 'podWatch.letIn=[{"namespaces":["shop"]}]').stdout)
        config = one(found, "ConfigMap", "mesh-sockmesh")["data"]["sockmeshd.yaml"]
        read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)['served']))"
        served = json.loads(subprocess.run([PYTHON, "-c", read], input=config, capture_output=True, text=True,
                                           check=True).stdout)
        self.assertEqual(served, {"by_default": "NONE", "let_in": [{"pods": {"namespaces": ["shop"]}}],
                                  "leave_out": [{"pods": {"matchLabels": {"a": "b"}}}, {"cgroup": "/x"}]})
        role = one(found, "ClusterRole", "sockmesh-mesh-sockmesh")
        self.assertEqual(role["rules"], [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}])
        bound = one(found, "ClusterRoleBinding", "sockmesh-mesh-sockmesh")
        pod = one(found, "DaemonSet", "mesh-sockmesh")["spec"]["template"]["spec"]
        self.assertEqual(bound["subjects"][0]["name"], pod["serviceAccountName"])
        self.assertIn("kube-api", [each["name"] for each in pod["volumes"]])
        self.assertNotIn("kube-api", json.dumps(objects(template().stdout)))

    @needs_yaml
    def test_probes_do_not_depend_on_the_control_plane_except_readiness(self):
        agent = one(objects(template().stdout), "DaemonSet", "mesh-sockmesh")["spec"]["template"]["spec"]["containers"][0]
        paths = {probe: agent[probe + "Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
        self.assertEqual(paths, {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"})

    @needs_yaml
    def test_the_agent_understands_its_configuration(self):
        for values in VALUE_SETS:
            with self.subTest(name_of(values)), tempfile.TemporaryDirectory() as folder:
                found = objects(template(values).stdout)
                text = next(each["data"]["sockmeshd.yaml"] for each in found
                            if each["kind"] == "ConfigMap" and "sockmeshd.yaml" in each["data"])
                file = pathlib.Path(folder) / "sockmeshd.yaml"
                file.write_text(text)
                (pathlib.Path(folder) / "bpffs").mkdir()
                # Cleaning up reads and checks the whole file, and finds nothing in an empty folder.
                said = subprocess.run([BIN / "sockmeshd", "--config", file, "--cleanup", "--bpffs-root",
                                       file.parent / "bpffs"], capture_output=True, text=True, check=False,
                                      env={**os.environ, "KUBERNETES_SERVICE_HOST": "10.96.0.1",
                                           "KUBERNETES_SERVICE_PORT": "443", "POD_IP": "10.0.0.9",
                                           "POD_NAMESPACE": "sockmesh", "POD_NAME": "agent-1", "NODE_NAME": "node-1"})
                self.assertEqual(said.returncode, 0, said.stderr + text)


BAD = {
    "xds.address=http://istiod:15012": "xds.address",
    "xds.address=istiod": "xds.address",
    "xds.addres=istiod:1": "addres is not allowed",
    "xds.token.expirationSeconds=60": "xds.token.expirationSeconds",
    "xds.protocol=delta": "xds.protocol",
    "xds.fallbackAddresses={istiod}": "xds.fallbackAddresses",
    "cache.path=var": "cache.path",
    "logging.level=loud": "logging.level",
    "image.pullPolicy=always": "image.pullPolicy",
    "image.digest=sha256:abc": "image.digest",
    "datapath.maxServices=0": "datapath.maxServices",
    "datapath.maxConnections=2000000000": "datapath.maxConnections",
    "metrics.port=70000": "metrics.port",
    "metrics.port=15077": "metrics.port: 15077 is the admin server's port",
    "metrics.host=node-1": "metrics.host",
    "admin.port=zero": "admin.port",
    "host.bpffs=sys": "host.bpffs",
    "updateStrategy.maxUnavailable=0": "updateStrategy.maxUnavailable",
    "prometheusRule.disabled={SockmeshTypo}": "prometheusRule.disabled",
    "prometheusRule.thresholds.mapUsage=90": "mapUsage",
    "serviceMonitor.enabled=true": "scraped twice",
    "xds.tls.rootCertificate.configMap=a,xds.tls.rootCertificate.secret=b": "name one",
    "serviceAccount.create=false": "serviceAccount.name",
    "test.connections=0": "test.connections",
    "podWatch.leaveOut[0].namespaces={a}": "podWatch.enabled: rules by pods need",
    "config.served.let_in[0].pods.namespaces={a}": "podWatch.enabled: config.served has rules",
    "podWatch.enabled=true,podWatch.letIn[0].labels.a=b": "labels is not allowed",
    "podWatch.enabled=true,podWatch.letIn[0].matchExpressions[0].key=a": "operator",
    "tolerations=all": "tolerations",
    "replicas=3": "replicas is not allowed",
}


@needs_helm
class BadValues(unittest.TestCase):
    def test_each_is_refused_with_its_path(self):
        for setting, said in BAD.items():
            with self.subTest(setting):
                refused = template(None, "--set", setting, check=False)
                self.assertNotEqual(refused.returncode, 0, refused.stdout[:200])
                # The API of some messages writes paths as /a/b, others as a.b.
                self.assertIn(said.replace("/", "."), refused.stderr.replace("/", "."))


@needs_promtool
class Alerts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.rules = pathlib.Path(self.folder.name) / "alerts.yaml"
        rule = one(objects(template().stdout), "PrometheusRule")
        self.rules.write_text(json.dumps(rule["spec"]))
        self.alerts = [each["alert"] for each in rule["spec"]["groups"][0]["rules"]]

    def tearDown(self):
        self.folder.cleanup()

    def test_promtool_reads_the_rules(self):
        said = subprocess.run([PROMTOOL, "check", "rules", self.rules], capture_output=True, text=True, check=False)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    def test_each_alert_fires_and_stays_silent(self):
        tests = self.rules.with_name("alerts_test.yaml")
        tests.write_text((HERE / "alerts_test.yaml").read_text())
        said = subprocess.run([PROMTOOL, "test", "rules", tests], capture_output=True, text=True, check=False)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    def test_no_alert_is_without_a_test(self):
        text = (HERE / "alerts_test.yaml").read_text()
        firing = set(re.findall(r'alertname="(\w+)"', text))
        self.assertEqual(set(self.alerts) - firing, set())

    def test_alerts_can_be_left_out_and_labelled(self):
        rules = one(objects(template(HERE / "values/everything.yaml").stdout), "PrometheusRule")["spec"]["groups"][0]["rules"]
        self.assertNotIn("SockmeshConnectLatencyHigh", [each["alert"] for each in rules])
        for each in rules:
            self.assertEqual(each["labels"], {"team": "network", "severity": "page"})
            self.assertEqual(each["annotations"]["runbook_url"], "https://runbooks.example/" + each["alert"])


def scraped():
    """{metric: its labels} of an agent at the end of the demo, or None without root."""
    if os.geteuid() != 0:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "metrics"
        said = subprocess.run([ROOT / "tools/demo/demo.sh", BIN.parent], capture_output=True, text=True, check=False,
                              env={**os.environ, "SOCKMESH_DEMO_METRICS": str(file)})
        if said.returncode:
            raise AssertionError("the demo failed:\n" + said.stdout[-2000:] + said.stderr[-2000:])
        text = file.read_text()
    metrics = {}
    for kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M):
        for end in ("_bucket", "_sum", "_count") if kind[1] == "histogram" else ("",):
            metrics.setdefault(kind[0] + end, set())
    for name, labels in re.findall(r"^([a-z]\w+)(?:\{(.*)\})? ", text, re.M):
        metrics.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return metrics


@needs_yaml
@unittest.skipUnless(os.geteuid() == 0, "a real agent needs root")
class RealMetrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.metrics = scraped()

    def check(self, expression):
        for name, labels in re.findall(r"\b((?:sockmesh|process)_[a-z_]+)(?:\{(.*?)\})?", expression):
            if name in WITHOUT_THE_DEMO:
                continue
            with self.subTest(name):
                self.assertIn(name, self.metrics, expression)
                # A family without series says nothing of its labels.
                if self.metrics[name]:
                    used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels))
                    self.assertLessEqual(used - ADDED_LABELS, self.metrics[name], expression)

    def test_alerts_ask_for_what_there_is(self):
        rule = one(objects(template().stdout), "PrometheusRule")
        for each in rule["spec"]["groups"][0]["rules"]:
            self.check(each["expr"])

    def test_the_dashboard_asks_for_what_there_is(self):
        dashboard = json.loads((CHART / "files/dashboard.json").read_text())
        asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        asked += [each["definition"] for each in dashboard["templating"]["list"] if "definition" in each]
        self.assertGreater(len(asked), 30)
        for expression in asked:
            self.check(expression)

    @needs_promtool
    def test_promtool_reads_the_dashboards_queries(self):
        dashboard = json.loads((CHART / "files/dashboard.json").read_text())
        asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        rules = [{"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
                 for number, expression in enumerate(asked)]
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "panels.yaml"
            file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
            said = subprocess.run([PROMTOOL, "check", "rules", file], capture_output=True, text=True, check=False)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)


if __name__ == "__main__":
    BIN = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(argv=sys.argv)
