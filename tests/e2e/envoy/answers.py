# SPDX-License-Identifier: Apache-2.0
"""ACK or NACK: what Envoy and sockmeshd answer to resources at the edge of what is valid."""
import re

import processes
import refusals
from zone_cases import CALLERS_CLUSTER

LINE = re.compile(r"\[\d+\] (envoy|sockmesh): (ACK|NACK) (\w+) ([^\s:]+)(?:: (.*))?$")
ANSWER_SECONDS = 60


class Log:
    """Reads the answers from sockmesh-xds' log."""

    def __init__(self, mesh):
        self.mesh = mesh

    def _answers(self, kind, start):
        """(version, side, word, detail) for each answer to this type, in order."""
        for line in self.mesh.log("xds")[start:].splitlines():
            match = LINE.search(line)
            if match and match[3] == kind:
                yield match[4], match[1], match[2], match[5] or ""

    def length(self):
        return len(self.mesh.log("xds"))

    def to_same(self, kind, start):
        """(version, {side: (word, detail)}) of the last version that both sides answered, or None."""
        last = {}
        for version, side, word, detail in self._answers(kind, start):
            last[side] = (version, word, detail)
        if len(last) < 2 or len({version for version, _, _ in last.values()}) > 1:
            return None
        version = last["envoy"][0]
        return version, {side: (word, detail) for side, (_, word, detail) in last.items()}


def _folder(kind, resources):
    """The folder's content, with the assignment under test in place of the valid one."""
    if kind == "EDS":
        return [refusals.base()[0], *resources, refusals.base()[2]]
    return refusals.base() + resources


class Edge:
    """Publishes one resource after the other, and only the valid resources in between. sockmesh-xds
    adds before it removes, so without the pause two cases would meet in one response."""

    def __init__(self, mesh):
        self.mesh = mesh
        self.log = Log(mesh)
        self.base_versions = {}
        mesh.publish("cases.json", [])
        mesh.publish("edge.json", refusals.base())
        processes.await_true("the valid resources alone", self._settled, ANSWER_SECONDS)
        self.base_versions = {kind: self._last(kind)[0] for kind in ("CDS", "EDS", "LDS")}

    def _last(self, kind):
        return self.log.to_same(kind, 0)

    def _settled(self):
        """Whether both sides serve the valid resources and nothing else."""
        callers = CALLERS_CLUSTER["name"]
        everything = (({"xds", "base", callers}, {"base"}), ({"base", callers}, {"base"}))
        return everything == (self.mesh.envoy_has(), self.mesh.agent_has()) and all(
            self._last(kind) for kind in ("CDS", "EDS", "LDS"))

    def back(self, kind):
        """Publishes only the valid resources again. Only what changes is answered."""
        self.mesh.publish("edge.json", refusals.base())
        processes.await_true("the valid resources again", lambda: (
            (last := self._last(kind)) and last[0] == self.base_versions[kind]), ANSWER_SECONDS)

    def answers(self, kind, resources):
        """{side: (ACK or NACK, detail)}, or None if a side did not answer."""
        start = self.log.length()

        def given():
            same = self.log.to_same(kind, start)
            return same[1] if same and same[0] != self.base_versions[kind] else None

        self.mesh.publish("edge.json", _folder(kind, resources))
        try:
            processes.await_true(f"answers to {kind}", given, ANSWER_SECONDS)
        except processes.NotReady:
            return None
        return given()


def compare(mesh):
    """Yields (case, answers) for each case. answers is None if no answer came."""
    edge = Edge(mesh)
    for case in refusals.all_cases():
        yield case, edge.answers(case.kind, case.resources)
        edge.back(case.kind)
