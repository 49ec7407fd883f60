#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the documents with the tree. Prints each problem, and exits with 1 if there is any:

- a link, or a section in a link, that leads nowhere;
- a path in backticks that does not exist;
- a line of more than 120 columns, except rows of wide tables;
- a citation "docs/PAGE.md 3.1" in a source, where the page has no such section;
- a test in backticks in SECURITY.md (`Suite.Name`) that does not exist.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = 120
WIDE_TABLES = {"docs/FIELDS.md", "SECURITY.md", "charts/sockmesh/README.md"}
TEST_NAME = re.compile(r"`([A-Z]\w+\.[A-Z]\w+)`")
TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+), (\w+)\)", re.M)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:agent|bpf|docs|proto|tests|tools)/[\w./-]*)`")
CITATION = re.compile(r"docs/([\w/-]+\.md)((?:(?:,| to| and)? \d+(?:\.\d+)?)*)")
SECTION = re.compile(r"\d+(?:\.\d+)?")
SOURCES = {".h", ".c", ".cpp", ".py", ".sh", ".mk", ".proto"}


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


def headings(page):
    return re.findall(r"^#+ (.+)$", page.read_text(), re.M)


def anchor(heading):
    """The anchor that code hosts make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_link(page, target):
    name, _, section = target.partition("#")
    other = page.parent / name if name else page
    if not other.exists():
        return f"no {target}"
    if section and section not in map(anchor, headings(other)):
        return f"no section {target}"
    return ""


def of_page(page):
    name = page.relative_to(ROOT).as_posix()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        where = f"{name}:{number}: "
        if len(line) > COLUMNS and not (line.startswith("|") and name in WIDE_TABLES):
            yield where + f"{len(line)} columns"
        for target in LINK.findall(line):
            problem = "" if re.match(r"[a-z]+:", target) else broken_link(page, target)
            if problem:
                yield where + problem
        for path in PATH.findall(line):
            if not (ROOT / path.replace("/ROOM", "")).exists():
                yield where + f"no {path}"


def missing_tests(page, paths):
    """Yields a problem for each test that the page names and no source has."""
    tests = set()
    for path in paths:
        if path.suffix == ".cpp" and "tests" in path.parts:
            tests.update(".".join(found) for found in TEST.findall(path.read_text()))
    for name in TEST_NAME.findall(page.read_text()):
        if name not in tests:
            yield f"{page.relative_to(ROOT)}: no test {name}"


def of_source(source):
    for number, line in enumerate(source.read_text(errors="replace").splitlines(), 1):
        for name, sections in CITATION.findall(line):
            where = f"{source.relative_to(ROOT)}:{number}: "
            page = ROOT / "docs" / name
            if not page.exists():
                yield where + f"no docs/{name}"
                continue
            known = [SECTION.match(heading) for heading in headings(page)]
            known = {found[0] for found in known if found}
            for section in SECTION.findall(sections):
                if section not in known:
                    yield where + f"no section {section} in docs/{name}"


def main():
    found = []
    paths = tracked()
    found += missing_tests(ROOT / "SECURITY.md", paths)
    for path in paths:
        if path == pathlib.Path(__file__).resolve() or "tests/data" in path.as_posix():
            continue
        if path.suffix == ".md":
            found += of_page(path)
        elif path.suffix in SOURCES:
            found += of_source(path)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
