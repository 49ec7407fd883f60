#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chart against itself and against the agent's sources. Prints each problem and exits 1 on any:

- a value without a description (the comment above it in values.yaml);
- a value that values.schema.json lacks, or the other way round;
- a table of values in the chart's README that is not the one that values.yaml gives (--write makes it);
- an alert or a panel of the dashboard that names a metric that agent/stats does not have.

It needs neither helm nor a YAML library. `make chart-test` does the rest.
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/sockmesh"
BEGIN, END = "<!-- values: made by tools/checks/chart.py --write -->\n", "<!-- end of values -->\n"
LINE = re.compile(r"( *)([\w.]+):(?: +(.*))?$")
COLUMNS = ("value", "default", "description")


def values():
    """[(path, default as text, description)] of the leaves of values.yaml, in order."""
    found, path, comment = [], [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
            continue
        parts = LINE.match(line)
        if parts:
            depth = len(parts[1]) // 2
            path = path[:depth] + [parts[2]]
            if parts[3] is not None:
                found.append((".".join(path), parts[3], " ".join(comment)))
        comment = []
    return found


def leaves(schema, path=""):
    for name, one in schema.get("properties", {}).items():
        below = f"{path}.{name}".lstrip(".")
        if one.get("properties") and one.get("additionalProperties") is False:
            yield from leaves(one, below)
        elif below != "global":
            yield below


def of_schema(known):
    described = {path for path, _, _ in known}
    # A value of flow style, such as a map of labels, is one leaf.
    typed = set(leaves(json.loads((CHART / "values.schema.json").read_text())))
    for path in sorted(described - typed):
        yield f"values.schema.json has no {path}"
    for path in sorted(typed - described):
        yield f"values.yaml has no {path}"
    for path, _, description in known:
        if not description:
            yield f"values.yaml: {path} has no description"


def table(known):
    cell = lambda text: text.replace("|", "\\|")
    rows = [f"| `{path}` | `{cell(default)}` | {cell(text)} |" for path, default, text in known]
    return "\n".join([f"| {' | '.join(COLUMNS)} |", "|---|---|---|", *rows]) + "\n"


def of_readme(known, write):
    page = CHART / "README.md"
    text = page.read_text()
    head, found, rest = text.partition(BEGIN)
    old, closed, tail = rest.partition(END)
    if not (found and closed):
        yield "charts/sockmesh/README.md has no place for the table of values"
    elif write:
        page.write_text(head + BEGIN + table(known) + END + tail)
    elif old != table(known):
        yield "charts/sockmesh/README.md: the table of values is old; run tools/checks/chart.py --write"


def metrics_of_the_agent():
    names = set()
    for source in (ROOT / "agent/stats").glob("*.cpp"):
        for kind, name in re.findall(r'(\w+)Family\(\s*"((?:sockmesh|process)_\w+)"', source.read_text()):
            names |= {name + part for part in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
        # Names that go through a helper.
        names |= set(re.findall(r'gauge\("(process_\w+)"', source.read_text()))
    return names


def of_metrics():
    names = metrics_of_the_agent()
    for file in ("files/alerts.yaml", "files/dashboard.json"):
        text = (CHART / file).read_text()
        for name in sorted(set(re.findall(r"\b(?:sockmesh|process)_[a-z_]+[a-z]\b", text)) - names):
            yield f"charts/sockmesh/{file}: the agent has no metric {name}"


def main():
    known = values()
    problems = [*of_schema(known), *of_readme(known, "--write" in sys.argv), *of_metrics()]
    for line in problems:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
